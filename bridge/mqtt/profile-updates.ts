/** A device stays connected for weeks, its type does not stay the same for so long: what it is checked against must follow. */
import type { DeviceDirectory } from '../../backbone/devices/device-directory.js';
import type { Event } from '../../backbone/events/envelope.js';
import type { Connection } from './connections.js';

/** Types of the events that change what is known of a connected device. */
export const profileEvents: readonly string[] = [
  'io.fleetgraph.device-type.defined.v1',
  'io.fleetgraph.device.updated.v1',
];

/** Brings the connections up to date. @throws when the directory can't tell; doing it again does no harm. */
export async function updateProfiles(
  event: Event,
  connections: Iterable<Connection>,
  directory: DeviceDirectory,
): Promise<void> {
  for (const connection of connections) {
    const { profile } = connection;
    if (profile?.tenant !== event.tenant) continue;
    if (event.type === 'io.fleetgraph.device-type.defined.v1' && event.data.typeId === profile.typeId) {
      const { decoder, metrics } = event.data;
      connection.profile = { ...profile, decoder, metrics };
    }
    if (
      event.type === 'io.fleetgraph.device.updated.v1' &&
      event.data.deviceId === profile.deviceId &&
      event.data.typeId !== profile.typeId
    ) {
      const found = await directory.find(profile.tenant, profile.deviceId);
      if (found?.active === true) connection.profile = found;
    }
  }
}
