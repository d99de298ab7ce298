/**
 * Ends the connection of a client at the broker, and its session, by the only means that MQTT has: a connection with its client
 * id takes its place (MQTT 5.0, section 3.1.4), and leaves. The bridge may use any client id (deploy/emqx asks the device role).
 */
import { connectAsync, type IClientOptions } from 'mqtt';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';

export interface EvictOptions {
  readonly url: string;
  readonly login: Pick<IClientOptions, 'username' | 'password' | 'ca'>;
  readonly log: Logger;
  /** Gives up. */
  readonly signal: AbortSignal;
}

const attempts = 5;
/** Connections at once, when many devices are decommissioned. */
const atOnce = 16;

/** @returns a function that has a client evicted, in its turn. What can't be done is logged. */
export function createEviction(options: EvictOptions): (clientId: string) => void {
  const lanes = Array.from({ length: atOnce }, () => Promise.resolve());
  let next = 0;
  return (clientId) => {
    const lane = next++ % atOnce;
    lanes[lane] = (lanes[lane] ?? Promise.resolve()).then(() => evict(options, clientId));
  };
}

/** Resolves when it is done, or was given up. Never rejects. */
async function evict({ url, login, log, signal }: EvictOptions, clientId: string): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      const client = await connectAsync(url, {
        ...login,
        clientId,
        protocolVersion: 5,
        clean: true,
        reconnectPeriod: 0,
        connectTimeout: 10_000,
        properties: { sessionExpiryInterval: 0 },
      });
      // The device may come back at once, and take the place in its turn.
      client.on('error', () => undefined);
      await client.endAsync().catch(() => undefined);
      return;
    } catch (error) {
      if (attempt + 1 < attempts) {
        await pause(backoffMs(attempt, 500, 10_000), signal);
        continue;
      }
      log.warn(
        { clientId, err: error },
        'a device that may not be connected any more could not be disconnected; the broker ends the connection later',
      );
      return;
    }
  }
}
