/** Presence signals into the device states: messages of devices one transaction a batch, a reset of the broker in chunks. */
import type pg from 'pg';
import type { Event } from '../../../backbone/events/envelope.js';
import { inTransaction, type Sql } from '../../../platform/database/sql.js';
import { appendChanges, type NumberedChange } from '../change-log.js';
import { lockDeviceStates, saveDeviceStates, type ChangedDeviceState, type DeviceStateRow } from '../device-states.js';
import { evolve, type Presence } from './evolve-presence.js';

export type PresenceChanged = Event<'io.fleetgraph.presence.changed.v1'>;
export type PresenceReset = Event<'io.fleetgraph.presence.reset.v1'>;

/** Most devices that one transaction of a reset takes offline. */
const resetChunk = 1_000;

/** Applies messages, in their order for each device. @returns the changes that it committed. */
export async function applyPresence(
  options: { readonly pool: pg.Pool },
  events: readonly PresenceChanged[],
): Promise<readonly NumberedChange[]> {
  if (events.length === 0) return [];
  return inTransaction(options.pool, async (sql) => {
    const rows = await lockDeviceStates(
      sql,
      events.map(({ tenant, data }) => ({ tenant, deviceId: data.deviceId })),
    );
    const before = new Map([...rows].map(([id, row]) => [id, presenceOf(row)]));
    const after = new Map(before);
    const traces = new Map<string, string | undefined>();
    for (const { tenant, data, traceparent } of events) {
      const sofar = after.get(data.deviceId);
      if (sofar === undefined || rows.get(data.deviceId)?.tenant !== tenant) continue;
      const next = evolve(sofar, {
        kind: data.online ? 'online' : 'offline',
        session: Math.floor(data.session),
        atMs: data.at,
      });
      after.set(data.deviceId, next);
      if (next !== sofar) traces.set(data.deviceId, traceparent);
    }
    const changed = [...rows.values()].flatMap((row) => {
      const next = after.get(row.deviceId);
      return next === undefined || next === before.get(row.deviceId)
        ? []
        : [withPresence(row, next, traces.get(row.deviceId))];
    });
    return appendChanges(sql, await saveDeviceStates(sql, changed));
  });
}

/**
 * Takes every device offline that is online in a session before the reset, whatever its tenant: a broker serves all of
 * them. Done again, it changes nothing. Yields the changes of each chunk as it commits.
 */
export async function* applyReset(
  options: { readonly pool: pg.Pool },
  event: PresenceReset,
): AsyncGenerator<readonly NumberedChange[]> {
  const session = Math.floor(event.data.session);
  let behind = '';
  for (;;) {
    const { last, changes } = await inTransaction(options.pool, async (sql) => {
      const devices = await onlineBefore(sql, session, behind);
      const rows = await lockDeviceStates(sql, devices);
      const changed = [...rows.values()].flatMap((row) => {
        const presence = presenceOf(row);
        const next = evolve(presence, { kind: 'reset', session });
        return next === presence ? [] : [withPresence(row, next, event.traceparent)];
      });
      return {
        last: devices.at(-1)?.deviceId,
        changes: await appendChanges(sql, await saveDeviceStates(sql, changed)),
      };
    });
    if (last === undefined) return;
    behind = last;
    yield changes;
  }
}

function onlineBefore(
  sql: Sql,
  session: number,
  behind: string,
): Promise<readonly { readonly tenant: string; readonly deviceId: string }[]> {
  return sql.query(
    `SELECT tenant, device_id AS "deviceId" FROM projections.device_states
     WHERE device_id > $1 AND online AND presence_session < $2::bigint ORDER BY device_id LIMIT $3`,
    [behind, session, resetChunk],
  );
}

function presenceOf(row: DeviceStateRow): Presence {
  return { online: row.online, session: row.session, lastSeenMs: row.lastSeen?.getTime() ?? null };
}

function withPresence(row: DeviceStateRow, presence: Presence, traceparent: string | undefined): ChangedDeviceState {
  return {
    ...row,
    kind: 'presence',
    online: presence.online,
    session: presence.session,
    lastSeen: presence.lastSeenMs === null ? null : new Date(presence.lastSeenMs),
    readings: [],
    traceparent,
  };
}
