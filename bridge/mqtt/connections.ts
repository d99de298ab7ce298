import type { Client } from 'aedes';
import type { DeviceProfile } from '../../backbone/devices/device-directory.js';
import type { DownChannel } from '../../backbone/devices/device-topics.js';

/** What the broker knows of a connection. */
export interface Connection {
  profile: DeviceProfile | undefined;
  session: number;
  /** It was said to be offline. */
  ended: boolean;
  /** What it listens on, with the QoS. */
  readonly subscriptions: Map<DownChannel, number>;
  willTopic: string | undefined;
  /**
   * What it was sent with QoS 1 and did not acknowledge, if its session ends with its connection. A client acknowledges in
   * the order of receipt (MQTT 3.1.1, section 4.6); aedes knows what was acknowledged only for sessions that it keeps.
   */
  readonly unacknowledged: Sent[];
  /** How many it was sent with QoS 1 and did not acknowledge, in any kind of session. */
  unconfirmed: number;
  /** `bytesRead` of its socket when the last packet was seen. */
  bytesSeen: number;
}

export interface Sent {
  readonly topic: string;
  readonly payload: Buffer | string;
}

/** @returns a function that gives what is known of a client's connection; it is forgotten with the client. */
export function createConnections(): (client: Client) => Connection {
  const connections = new WeakMap<Client, Connection>();
  return (client) => {
    let connection = connections.get(client);
    if (!connection) {
      connection = {
        profile: undefined,
        session: 0,
        ended: false,
        willTopic: undefined,
        bytesSeen: 0,
        unconfirmed: 0,
        subscriptions: new Map(),
        unacknowledged: [],
      };
      connections.set(client, connection);
    }
    return connection;
  };
}
