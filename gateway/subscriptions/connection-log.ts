/**
 * The log lines about one subgraph's connection. Many streams may try it many times a second: it has one
 * line when it begins to fail, one a minute while it does, with a count, and one when it is there again.
 */
import type { Logger } from '../../platform/observability/logger.js';

const quietMs = 60_000;

export class ConnectionLog {
  readonly #log: Logger;
  readonly #subgraph: string;
  #saidAtMs = -quietMs;
  #unsaid = 0;
  #isFailing = false;

  constructor(log: Logger, subgraph: string) {
    this.#log = log;
    this.#subgraph = subgraph;
  }

  /** The connection failed, or could not be had. @param level `error` if somebody has to mend something */
  failed(level: 'warn' | 'error', err: unknown): void {
    const now = performance.now();
    if (now - this.#saidAtMs < quietMs) {
      this.#unsaid += 1;
      this.#log.debug({ subgraph: this.#subgraph, err }, 'upstream connection failed again');
      return;
    }
    const fields = this.#unsaid > 0 ? { unlogged: this.#unsaid } : {};
    this.#log[level]({ subgraph: this.#subgraph, err, ...fields }, 'upstream connection failed');
    this.#saidAtMs = now;
    this.#unsaid = 0;
    this.#isFailing = true;
  }

  /** The subgraph has acknowledged the connection. */
  recovered(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    const fields = this.#unsaid > 0 ? { unlogged: this.#unsaid } : {};
    this.#unsaid = 0;
    this.#log.info({ subgraph: this.#subgraph, ...fields }, 'upstream connection is there again');
  }
}
