/**
 * Who may connect. A device by its password, with its own client id as user name; on a listener that has verified the client's
 * certificate (zone `mtls`), by the certificate's common name instead. The bridge by the account of the settings.
 */
import { bridgeRules } from '../../../backbone/devices/bridge-topics.js';
import { deviceRules, type TopicRule } from '../../../backbone/devices/device-topics.js';
import { createLoginThrottle } from '../../../backbone/devices/login-throttle.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { isBridge, isPasswordOfBridge, type BridgeAccount } from './bridge-account.js';
import type { AuthenticationRequest } from './broker-request.js';
import type { Credentials, KnownDevice } from './credentials.js';

/** A rule of EMQX, "Access Control List", new format. */
interface AclRule {
  readonly permission: 'allow';
  readonly action: TopicRule['action'];
  readonly topic: string;
}

export type AuthenticationReply =
  | { readonly result: 'deny' }
  | {
      readonly result: 'allow';
      readonly is_superuser: false;
      readonly client_attrs: Readonly<Record<string, string>>;
      /** Of the bridge. Rules given here would hold for as long as the connection does, whatever becomes of a device. */
      readonly acl?: readonly AclRule[];
      /** Epoch seconds: the broker ends the connection then, and the client has to be authenticated anew. */
      readonly expire_at?: number;
    };

/** Zone of the listeners that ask for a client certificate and verify it, in deploy/emqx. */
export const certificateZone = 'mtls';
/** In place of the password's fingerprint: a certificate outlives rotations of the password. */
export const byCertificate = 'certificate';

/** A device is authenticated anew at the latest after this long, and at the earliest after half of it: not all at once. */
const lifetimeMs = 24 * 3_600_000;

const deny = { result: 'deny' } as const;

export function createAuthentication(options: {
  account: BridgeAccount;
  credentials: Credentials;
  log: Logger;
}): (request: AuthenticationRequest) => Promise<AuthenticationReply> {
  const { account, credentials, log } = options;
  // Nobody is kept waiting: the broker's questions share connections, and one that waits holds up those behind it.
  const throttle = createLoginThrottle({ maxDelayMs: 0 });

  const verify = async (request: AuthenticationRequest): Promise<KnownDevice | 'bridge' | undefined> => {
    const { clientid, username, password } = request;
    if (request.zone === certificateZone) {
      const name = request.cert_common_name;
      if (name === undefined || name !== clientid || (username !== undefined && username !== name)) return undefined;
      const device = await credentials.find(name);
      return device && { ...device, credential: byCertificate };
    }
    if (isBridge(account, username)) return isPasswordOfBridge(account, password) ? 'bridge' : undefined;
    if (username !== clientid || password === undefined) return undefined;
    const device = await credentials.find(clientid);
    return device?.passwordIs(password) === true ? device : undefined;
  };

  return async (request) => {
    const who = { clientId: request.clientid.slice(0, 128), address: request.peerhost };
    const attempt = throttle.attempt({
      username: (request.username ?? request.clientid).slice(0, 256),
      address: (request.peerhost ?? '').slice(0, 64),
    });
    if (!attempt) {
      log.warn(who, 'the MQTT broker is told to deny: too many wrong passwords before this one');
      return deny;
    }
    let verified;
    try {
      verified = await verify(request);
    } catch (error) {
      attempt.end(undefined);
      throw error;
    }
    attempt.end(verified !== undefined);
    if (verified === undefined) {
      log.warn(who, 'the MQTT broker is told to deny: unknown client id, wrong password, or decommissioned');
      return deny;
    }
    return verified === 'bridge' ? allowBridge() : allowDevice(verified);
  };
}

function allowBridge(): AuthenticationReply {
  return {
    result: 'allow',
    is_superuser: false,
    client_attrs: {},
    // Filters word for word; `fleet/+/+/command` to publish is a pattern.
    acl: bridgeRules.map((rule) => toAcl(rule, rule.action === 'subscribe')),
  };
}

function allowDevice({ tenant, deviceId, credential }: KnownDevice): AuthenticationReply {
  if (deviceRules({ tenant, deviceId }).length === 0) return deny;
  return {
    result: 'allow',
    is_superuser: false,
    client_attrs: { tenant, device: deviceId, credential },
    expire_at: Math.floor((Date.now() + lifetimeMs * (0.5 + Math.random() / 2)) / 1_000),
  };
}

/** `eq` keeps EMQX from reading wildcards and placeholders in the topic. */
function toAcl({ action, topic }: TopicRule, exact: boolean): AclRule {
  return { permission: 'allow', action, topic: exact ? `eq ${topic}` : topic };
}
