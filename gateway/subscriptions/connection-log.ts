/**
 * The log lines about the connection to one subgraph, however many streams retry it: one when it
 * begins to fail, one a minute with a count while it fails, one when the subgraph acknowledges it
 * again.
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

  /** The connection failed. @param level `error` if it does not pass by itself */
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
