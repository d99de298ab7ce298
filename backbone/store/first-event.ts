import type { Sql } from '../../platform/database/sql.js';

/** Id of the first event of a stream; undefined if nothing was ever appended to it. */
export async function firstEventId(sql: Sql, tenant: string, stream: string): Promise<string | undefined> {
  const [row] = await sql.query<{ id: string }>(
    'SELECT id FROM events.events WHERE tenant = $1::text AND stream = $2::text AND revision = 1',
    [tenant, stream],
  );
  return row?.id;
}
