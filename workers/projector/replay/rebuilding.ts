/** What is rebuilt, and what whoever does it works with. */
import type { Sql } from '../../../platform/database/sql.js';

/** What can be rebuilt, and from what. */
export const replayable = {
  registry: 'events',
  commands: 'events',
  alerts: 'events',
  rules: 'events',
  twins: 'events',
  rollups: 'readings',
  states: 'readings',
} as const;
export type ReplayableProjection = keyof typeof replayable;

export interface Replayed {
  /** Events or readings that were read. */
  readonly read: number;
  /** Rows that came out otherwise than they were; clients that follow them are told. Not counted for rollups and the registry. */
  readonly mended?: number;
}

/** What a replay works with. */
export interface Replay {
  /** The connection that has the lock. */
  readonly sql: Sql;
  /** Runs statements in one transaction of it. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** The same for locks that queries are in the way of: gives up soon, so that nobody queues behind it, and tries again. */
  patiently<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Another connection, for what is read meanwhile. */
  readonly reader: Sql;
  readonly from: Date | undefined;
  progress(read: number): Promise<void>;
}
