import type { JsonObject } from '../../platform/database/storable.js';
import type { MetricDefinition } from '../events/catalogue.js';

/** A device as the bridge needs to know it. */
export interface DeviceProfile {
  readonly tenant: string;
  readonly deviceId: string;
  readonly typeId: string;
  readonly active: boolean;
  /** Name of the payload decoder of its type. */
  readonly decoder: string;
  /** Metrics that its type declares. A reading of one must be of its kind; others are taken as they come. */
  readonly metrics: readonly MetricDefinition[];
}

/** Both halves of the twin of a device in service. */
export interface DirectoryTwin {
  readonly desired: JsonObject;
  readonly desiredVersion: number;
  readonly reported: JsonObject;
  /** Goes up with each change of the device, of either half too. */
  readonly revision: number;
}

/** The port by which the bridge asks the device role about devices. Rejects when it can't tell: the caller must deny or wait. */
export interface DeviceDirectory {
  /** The device that the credentials belong to, or undefined if they are wrong, revoked, or of a decommissioned device. */
  authenticate(credentials: {
    readonly clientId: string;
    readonly username: string;
    readonly password: string;
  }): Promise<DeviceProfile | undefined>;
  find(tenant: string, deviceId: string): Promise<DeviceProfile | undefined>;
  /** The device that connects, or did, with this client id; `active` says whether it is in service. */
  findByClientId(clientId: string): Promise<DeviceProfile | undefined>;
  /** The twin as it is now; undefined if there is no such device in service. */
  twin(tenant: string, deviceId: string): Promise<DirectoryTwin | undefined>;
}
