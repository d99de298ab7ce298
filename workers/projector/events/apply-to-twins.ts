/** Desired and reported states into the twins of the read side, each with its change. Of each half, the latest version holds. */
import type { TwinChange } from '../../../backbone/changes/change.js';
import type { DomainEventType } from '../../../backbone/events/catalogue.js';
import type { Event } from '../../../backbone/events/envelope.js';
import type { Sql } from '../../../platform/database/sql.js';
import type { PendingChange } from '../change-log.js';
import type { ProjectionSchema } from '../projection-schema.js';

const twinTypes = [
  'io.fleetgraph.device.desired-state-set.v1',
  'io.fleetgraph.device.reported-state-changed.v1',
] as const;
type TwinEvent = Event<(typeof twinTypes)[number]>;

export function isTwinEvent(event: Event<DomainEventType>): event is TwinEvent {
  return (twinTypes as readonly string[]).includes(event.type);
}

const unheardOf: TwinChange = {
  desired: {},
  desiredVersion: 0,
  desiredAt: null,
  reported: {},
  reportedVersion: 0,
  reportedAt: null,
};

/** The twin after the event; the same if the event is not newer than what it has. */
export function evolveTwin(twin: TwinChange, event: TwinEvent): TwinChange {
  const { version } = event.data;
  if (event.type === 'io.fleetgraph.device.desired-state-set.v1')
    return version <= twin.desiredVersion
      ? twin
      : { ...twin, desired: event.data.desired, desiredVersion: version, desiredAt: event.time };
  return version <= twin.reportedVersion
    ? twin
    : { ...twin, reported: event.data.reported, reportedVersion: version, reportedAt: event.time };
}

/** Writes the twins that change. @returns the change of each event that made one, by the event's id. */
export async function applyToTwins(
  sql: Sql,
  events: readonly Event<DomainEventType>[],
  schema: ProjectionSchema = 'projections',
): Promise<ReadonlyMap<string, PendingChange>> {
  const changes = new Map<string, PendingChange>();
  const twinEvents = events.filter(isTwinEvent);
  if (twinEvents.length === 0) return changes;
  const rows = await sql.query<{ tenant: string; deviceId: string; document: TwinChange; version: number }>(
    `SELECT tenant, device_id AS "deviceId", document, version FROM ${schema}.device_twins
     WHERE device_id = ANY($1::text[]) ORDER BY device_id FOR UPDATE`,
    [[...new Set(twinEvents.map(({ data }) => data.deviceId))]],
  );
  const twins = new Map(rows.map((row) => [row.deviceId, row]));
  for (const event of twinEvents) {
    const { deviceId } = event.data;
    const before = twins.get(deviceId);
    if (before !== undefined && before.tenant !== event.tenant) continue;
    const document = evolveTwin(before?.document ?? unheardOf, event);
    if (document === before?.document) continue;
    const version = (before?.version ?? 0) + 1;
    twins.set(deviceId, { tenant: event.tenant, deviceId, document, version });
    changes.set(event.id, {
      tenant: event.tenant,
      entity: 'twin',
      id: deviceId,
      version: BigInt(version),
      traceparent: event.traceparent,
      payload: document,
    });
  }
  await sql.query(
    `INSERT INTO ${schema}.device_twins (device_id, tenant, document, version)
     SELECT "deviceId", tenant, document, version
     FROM jsonb_to_recordset($1::jsonb) AS n("deviceId" text, tenant text, document jsonb, version int) ORDER BY "deviceId"
     ON CONFLICT (device_id) DO UPDATE SET document = excluded.document, version = excluded.version`,
    [JSON.stringify([...twins.values()])],
  );
  return changes;
}
