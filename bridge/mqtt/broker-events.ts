/**
 * What an external broker tells of its clients, on `$SYS/brokers/{node}/clients/{clientid}/{event}`.
 * Source: EMQX 5.8, apps/emqx/src/emqx_sys.erl. Times are epoch milliseconds.
 */
import { isObject, parseJson } from '../decoders/decoder.js';

export interface BrokerEvent {
  readonly kind: 'connected' | 'disconnected' | 'subscribed';
  readonly clientId: string;
  readonly username: string | undefined;
  /**
   * When the client connected: what begins and ends one connection carries the same. Of `subscribed`, which does not tell that,
   * the time of the event.
   */
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
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  let message: unknown;
  try {
    message = parseJson(payload.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isObject(message)) return undefined;
  const { clientid, username, topic: subscribed } = message;
  const connectedAt = message[match[2] === 'subscribed' ? 'ts' : 'connected_at'];
  // Without a time it can't be told from what came before or after it.
  if (clientid !== match[1] || !Number.isSafeInteger(connectedAt) || Number(connectedAt) <= 0) return undefined;
  return {
    kind: match[2] as BrokerEvent['kind'],
    clientId: match[1],
    username: typeof username === 'string' ? username : undefined,
    connectedAt: Number(connectedAt),
    topic: typeof subscribed === 'string' ? subscribed : undefined,
  };
}

/** Whether the broker tells of its clients at all. */
export interface EventWatch {
  /** It has told of one. */
  heard(): void;
  /** Whether it has so far. */
  hasTold(): boolean;
  /** Resolves when it has told of one, or with false when it was silent for so long that it won't. */
  tells(): Promise<boolean>;
}

/**
 * A broker that tells of its clients does so at once: a bridge that connects and subscribes is the first of them.
 * @param silenceMs how long the first answer may wait for that.
 */
export function createEventWatch(silenceMs: number): EventWatch {
  let told = false;
  let first: Promise<void> | undefined;
  let answer: () => void = () => undefined;
  return {
    heard() {
      told = true;
      answer();
    },
    hasTold: () => told,
    async tells() {
      if (told) return true;
      first ??= new Promise((resolve) => {
        const timer = setTimeout(resolve, silenceMs);
        answer = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      await first;
      return told;
    },
  };
}
