import type { DeviceDirectory, DeviceProfile } from '../../backbone/devices/device-directory.js';

export interface DeviceCache {
  /** The device if it exists and is in service. Rejects when the directory is away. */
  find(tenant: string, deviceId: string): Promise<DeviceProfile | undefined>;
  /** Forgets what is known of a device. */
  forget(deviceId: string): void;
}

const ttlMs = 10_000;
const maxEntries = 50_000;

/** Devices for HTTP ingest, remembered for ten seconds; one lookup for all lines that ask at the same time. */
export function createDeviceCache(directory: DeviceDirectory): DeviceCache {
  const entries = new Map<
    string,
    { readonly tenant: string; readonly until: number; readonly profile: Promise<DeviceProfile | undefined> }
  >();
  return {
    async find(tenant, deviceId) {
      const known = entries.get(deviceId);
      if (known?.tenant === tenant && known.until > Date.now()) return known.profile;
      const profile = directory.find(tenant, deviceId).then((found) => (found?.active === true ? found : undefined));
      entries.delete(deviceId);
      entries.set(deviceId, { tenant, until: Date.now() + ttlMs, profile });
      const [oldest] = entries.keys();
      if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest);
      try {
        const found = await profile;
        // One that isn't there may be registered in the next moment.
        if (found === undefined) entries.delete(deviceId);
        return found;
      } catch (error) {
        entries.delete(deviceId);
        throw error;
      }
    },
    forget(deviceId) {
      entries.delete(deviceId);
    },
  };
}
