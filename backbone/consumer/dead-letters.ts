import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { messageOf } from '../../platform/errors.js';
import type { BusRecord } from '../bus/event-bus.js';

/** PostgreSQL's text can't hold U+0000, nor its JSON half a surrogate pair, and a poison record may. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\u0000', '\uFFFD');
}

/** A tenant is shorter. The column is indexed, and an index takes no text of any length. */
const maxTenantLength = 256;

const storableOrNull = (text: string | undefined): string | null => (text === undefined ? null : storable(text));

/** Writes a record that could not be processed, with cause and attempts. Writing it again has no effect. */
export async function storeDeadLetter(
  pool: pg.Pool,
  letter: { consumer: string; record: BusRecord; cause: unknown; attempts: number },
): Promise<void> {
  const { consumer, record, cause, attempts } = letter;
  await pool.query(
    `INSERT INTO dead_letters.dead_letters (id, consumer, topic, partition, "offset", key, value, headers, tenant, type, cause, stack, attempts, failed_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12, $13, now())
     ON CONFLICT (consumer, topic, partition, "offset") DO NOTHING`,
    [
      randomUUID(),
      consumer,
      record.topic,
      record.partition,
      record.offset,
      storable(record.key),
      storable(record.value),
      JSON.stringify(
        Object.fromEntries(Object.entries(record.headers).map(([name, value]) => [storable(name), storable(value)])),
      ),
      storableOrNull(record.headers['ce_tenant']?.slice(0, maxTenantLength)),
      storableOrNull(record.headers['ce_type']),
      storable(messageOf(cause)),
      storableOrNull(cause instanceof Error ? cause.stack : undefined),
      attempts,
    ],
  );
}
