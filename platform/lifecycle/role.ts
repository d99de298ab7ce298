/** What the platform starts and stops: one part of fleetgraph. */
export interface Role {
  readonly name: string;
  /** Resolves when the role serves. Throws `StartupError` if it can't. */
  start(): Promise<void>;
  /** Stops intake, drains what was accepted, commits, closes. Resolves when nothing is left. Safe to call twice, and after a failed start. */
  stop(): Promise<void>;
  /** Resolves if the role can do its work now; rejects with the reason if not. Cheap: called for every `/readyz`. */
  ready(): Promise<void>;
}

/** A role that listens on a port of its own. */
export interface ServiceRole extends Role {
  /** The port that it listens on; throws before `start`. */
  port(): number;
}
