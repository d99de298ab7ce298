/**
 * What who is connected may do. The broker keeps an answer for a minute (`authorization.cache` in deploy/emqx). A device is
 * looked up anew: one that is decommissioned, or whose password was rotated since it connected, may do nothing.
 */
import { isAllowedToBridge } from '../../../backbone/devices/bridge-topics.js';
import { isAllowed } from '../../../backbone/devices/device-topics.js';
import { byCertificate } from './authenticate.js';
import { isBridge, type BridgeAccount } from './bridge-account.js';
import type { AuthorizationRequest } from './broker-request.js';
import type { Credentials } from './credentials.js';

export interface AuthorizationReply {
  readonly result: 'allow' | 'deny';
}

export function createAuthorization(options: {
  account: BridgeAccount;
  credentials: Credentials;
}): (request: AuthorizationRequest) => Promise<AuthorizationReply> {
  const { account, credentials } = options;

  const mayDo = async (request: AuthorizationRequest): Promise<boolean> => {
    const { action, topic } = request;
    // The broker has checked the password of whoever has this name.
    if (isBridge(account, request.username)) return isAllowedToBridge(action, topic);
    const address = { tenant: request.tenant ?? '', deviceId: request.device ?? '' };
    // Before the database is asked: what is forbidden to the device is so whatever is in there.
    if (request.clientid !== address.deviceId || !isAllowed(address, action, topic)) return false;
    const device = await credentials.find(request.clientid);
    return (
      device !== undefined &&
      device.tenant === address.tenant &&
      (request.credential === byCertificate || request.credential === device.credential)
    );
  };

  return async (request) => ({ result: (await mayDo(request)) ? 'allow' : 'deny' });
}
