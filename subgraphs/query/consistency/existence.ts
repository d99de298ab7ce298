/**
 * Whether there is what a client names by its id. The read side may not know yet what was made a moment ago; the event store
 * does. So an id that neither knows is refused at once, and one that only the event store knows is waited for.
 */
import { firstEventId } from '../../../backbone/store/first-event.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { waitForEvent, type ConsistencyOptions } from './wait-for-event.js';

/** An id in the message of an error is cut to this length. */
const maxShownId = 128;

/**
 * Resolves when the read side knows the device. `field` is the argument that names it.
 * @throws FleetgraphError NOT_FOUND if the tenant has no such device, UNAVAILABLE if the read side has not heard of it within
 * `timeoutMs`.
 */
export async function requireDevice(
  options: ConsistencyOptions,
  tenant: string,
  id: string,
  field: string,
): Promise<void> {
  if (!(await isDeviceKnown(options.sql, tenant, id)))
    await waitForStream(options, tenant, `device-${id}`, { what: 'device', id, field });
}

/** The same for a command. @throws as `requireDevice`. */
export async function requireCommand(options: ConsistencyOptions, tenant: string, id: string): Promise<void> {
  const rows = await options.sql.query('SELECT 1 FROM projections.commands WHERE tenant = $1 AND id = $2', [
    ...[tenant, id],
  ]);
  if (rows.length === 0) await waitForStream(options, tenant, `command-${id}`, { what: 'command', id, field: 'id' });
}

/** A device whose data came before its registration is known, too. */
async function isDeviceKnown(sql: Sql, tenant: string, id: string): Promise<boolean> {
  const rows = await sql.query(
    `SELECT 1 FROM projections.devices WHERE tenant = $1 AND device_id = $2
     UNION ALL SELECT 1 FROM projections.device_states WHERE tenant = $1 AND device_id = $2 LIMIT 1`,
    [tenant, id],
  );
  return rows.length > 0;
}

/** Waits until the first event of the stream is applied. */
async function waitForStream(
  options: ConsistencyOptions,
  tenant: string,
  stream: string,
  { what, id, field }: { readonly what: string; readonly id: string; readonly field: string },
): Promise<void> {
  const shown = id.length > maxShownId ? `${id.slice(0, maxShownId)}…` : id;
  const eventId = await firstEventId(options.sql, tenant, stream);
  if (eventId === undefined)
    throw new FleetgraphError('NOT_FOUND', `There is no ${what} "${shown}" in your tenant. Check the id.`, { field });
  if (!(await waitForEvent(options, tenant, eventId)))
    throw new FleetgraphError(
      'UNAVAILABLE',
      `The read side has not heard of the ${what} "${shown}" within ${options.timeoutMs} ms. Send the request again.`,
      { field },
    );
}
