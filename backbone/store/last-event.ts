import type { Sql } from '../../platform/database/sql.js';

/**
 * Id of the last event of a stream: for the consistency token of a mutation that found nothing to do.
 * @throws Error when the stream has none.
 */
export async function lastEventId(sql: Sql, tenant: string, stream: string): Promise<string> {
  const [row] = await sql.query<{ id: string }>(
    'SELECT id FROM events.events WHERE tenant = $1::text AND stream = $2::text ORDER BY revision DESC LIMIT 1',
    [tenant, stream],
  );
  if (!row) throw new Error(`The stream ${stream} has no events.`);
  return row.id;
}
