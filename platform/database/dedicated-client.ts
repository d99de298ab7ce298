import { Socket } from 'node:net';
import pg from 'pg';
import { settledWithin } from '../lifecycle/wait.js';
import { connectionSettings } from './connection-settings.js';

/** How long a server may take to close a connection that we have ended. */
const endTimeoutMs = 2_000;

/** A connection that somebody keeps. */
export class DedicatedClient extends pg.Client {
  readonly #socket: Socket;

  constructor(config: pg.ClientConfig) {
    const socket = new Socket();
    super({ ...config, stream: () => socket });
    this.#socket = socket;
  }

  /** Ends it, come what may: a server that is gone without a word does not answer to this either. Never rejects. */
  async close(): Promise<void> {
    await settledWithin(this.end(), endTimeoutMs);
    this.#socket.destroy();
  }
}

/**
 * A connection that somebody keeps: to listen, or for a lock of its session. Not connected yet. What is asked on it must be short:
 * `queryTimeoutMs`, by default that of every connection.
 */
export function createDedicatedClient(options: {
  readonly databaseUrl: string;
  readonly applicationName: string;
  readonly queryTimeoutMs?: number | undefined;
}): DedicatedClient {
  return new DedicatedClient({
    connectionString: options.databaseUrl,
    application_name: options.applicationName,
    ...connectionSettings,
    query_timeout: options.queryTimeoutMs ?? connectionSettings.query_timeout,
  });
}
