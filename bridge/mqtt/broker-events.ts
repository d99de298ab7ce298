/**
 * What an external broker tells of its clients, on `$SYS/brokers/{node}/clients/{clientid}/{event}`.
 * Source: EMQX 5.8, "System Topic", client online and offline events. Times are epoch milliseconds.
 */
import { isObject, parseJson } from '../decoders/decoder.js';

export interface BrokerEvent {
  readonly kind: 'connected' | 'disconnected' | 'subscribed';
  readonly clientId: string;
  readonly username: string | undefined;
  /** When the session of the client began: events of one connection carry the same. */
  readonly connectedAt: number;
  /** Of `subscribed`. */
  readonly topic: string | undefined;
}

/** Topics of the events, for a subscription. */
export const brokerEventTopics = ['connected', 'disconnected'].map(
  (kind) => `$SYS/brokers/+/clients/+/${kind}` as const,
);

/** @returns the event; undefined when the topic or the payload is of something else. */
export function parseBrokerEvent(topic: string, payload: Buffer): BrokerEvent | undefined {
  const match = /^\$SYS\/brokers\/[^/]+\/clients\/(.+)\/(connected|disconnected|subscribed)$/.exec(topic);
  if (match?.[2] === undefined) return undefined;
  let message: unknown;
  try {
    message = parseJson(payload.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isObject(message)) return undefined;
  const { clientid, username, connected_at: connectedAt, topic: subscribed } = message;
  if (typeof clientid !== 'string') return undefined;
  return {
    kind: match[2] as BrokerEvent['kind'],
    clientId: clientid,
    username: typeof username === 'string' ? username : undefined,
    connectedAt: typeof connectedAt === 'number' && Number.isFinite(connectedAt) ? connectedAt : 0,
    topic: typeof subscribed === 'string' ? subscribed : undefined,
  };
}
