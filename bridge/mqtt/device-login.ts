/** Who may connect: a device with its own client id and password, and with a will, if any, on its own presence topic. */
import type { DeviceDirectory, DeviceProfile } from '../../backbone/devices/device-directory.js';
import { topicOf } from '../../backbone/devices/device-topics.js';
import { createLoginThrottle } from '../../backbone/devices/login-throttle.js';
import { pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import { createOutageLog } from '../../platform/observability/outage-log.js';
import type { BridgeMetrics } from '../bridge-metrics.js';

export interface LoginRequest {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
  /** Where it comes from: wrong passwords slow the next attempts down, see backbone/devices/login-throttle.ts. */
  readonly address: string;
  readonly willTopic: string | undefined;
}

export type LoginOutcome =
  | { readonly profile: DeviceProfile }
  | { readonly returnCode: (typeof returnCodes)[keyof typeof returnCodes]; readonly message: string };

/** MQTT 3.1.1, section 3.2.2.3: server unavailable, bad user name or password. */
const returnCodes = { unavailable: 3, badCredentials: 4 } as const;

/** @returns a function that never rejects: what can't be checked is refused. */
export function createDeviceLogin(options: {
  directory: DeviceDirectory;
  metrics: BridgeMetrics;
  log: Logger;
}): (request: LoginRequest) => Promise<LoginOutcome> {
  const { directory, metrics, log } = options;
  const throttle = createLoginThrottle();
  const outages = createOutageLog({ log, event: 'credentials of devices can not be checked, and logins are denied' });

  return async ({ clientId, username, password, address, willTopic }) => {
    const attempt = throttle.attempt({ username: username.slice(0, 256), address });
    if (!attempt) {
      metrics.logins.inc({ result: 'throttled' });
      return { returnCode: returnCodes.unavailable, message: 'too many wrong passwords; try again later' };
    }
    try {
      await pause(attempt.delayMs);
      const profile = await directory.authenticate({ clientId, username, password });
      outages.succeeded('directory');
      attempt.end(profile !== undefined);
      if (!profile) {
        metrics.logins.inc({ result: 'denied' });
        log.warn(
          { clientId: clientId.slice(0, 128), address },
          'a device was denied: unknown client id, wrong password, or decommissioned',
        );
        return { returnCode: returnCodes.badCredentials, message: 'bad user name or password' };
      }
      if (willTopic !== undefined && willTopic !== topicOf(profile, 'presence')) {
        metrics.logins.inc({ result: 'denied' });
        log.warn(
          { tenant: profile.tenant, deviceId: profile.deviceId },
          'a device was denied: its will is not on its own topic "presence"',
        );
        return {
          returnCode: returnCodes.badCredentials,
          message: 'the will is not on the presence topic of the device',
        };
      }
      metrics.logins.inc({ result: 'accepted' });
      return { profile };
    } catch (error) {
      attempt.end(undefined);
      metrics.logins.inc({ result: 'unavailable' });
      outages.failed('directory', error);
      return { returnCode: returnCodes.unavailable, message: 'credentials can not be checked now' };
    }
  };
}
