/**
 * The device directory as the bridge may rely on it: every question is answered or given up in time, and only so many are
 * open at once. Devices that come back all together, or a database that is stuck, then cost neither memory nor a stop.
 */
import type { DeviceDirectory } from '../backbone/devices/device-directory.js';
import { FleetgraphError } from '../platform/errors.js';

/** Its functions reject with FleetgraphError UNAVAILABLE when the directory is late, or asked too much. */
export function createBoundedDirectory(
  directory: DeviceDirectory,
  options: { deadlineMs?: number; maxOpen?: number } = {},
): DeviceDirectory {
  const { deadlineMs = 10_000, maxOpen = 10_000 } = options;
  let open = 0;

  /** Counted until it has ended, not until its deadline: what is stuck is still there. */
  const counted = async <T>(question: () => Promise<T>): Promise<T> => {
    open += 1;
    try {
      return await question();
    } finally {
      open -= 1;
    }
  };

  const ask = async <T>(question: () => Promise<T>): Promise<T> => {
    if (open >= maxOpen)
      throw new FleetgraphError('UNAVAILABLE', 'Too many devices are being checked. Try again later.');
    const answer = counted(question);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new FleetgraphError('UNAVAILABLE', 'The device could not be checked in time. Try again later.')),
        deadlineMs,
      );
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    authenticate: (credentials) => ask(() => directory.authenticate(credentials)),
    find: (tenant, deviceId) => ask(() => directory.find(tenant, deviceId)),
    findByClientId: (clientId) => ask(() => directory.findByClientId(clientId)),
    twin: (tenant, deviceId) => ask(() => directory.twin(tenant, deviceId)),
  };
}
