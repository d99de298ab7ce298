/** Entities that one execution has asked a subgraph for, and where in the answer each is. */
import type { SubgraphError } from '../subgraphs/subgraph-error.js';

/** Entities that were asked for together. */
export interface EntityBatch {
  readonly texts: string[];
  /** Of each entity, as it is known to the asker. */
  readonly typenames: unknown[];
  readonly answer: Promise<EntityAnswer>;
}

export interface EntityAnswer {
  /** In the order of the texts; empty if an error came in the place of all. */
  readonly entities: readonly unknown[];
  readonly errors: readonly SubgraphError[];
}

/** Where the answer about an entity is. */
export interface Slot {
  readonly batch: EntityBatch;
  readonly index: number;
  /** The first of the fetches that asked: what is nested in the entity is its own, others get copies. */
  readonly owner: object;
}

/** What was asked in the same words, by representation. */
export interface Table {
  readonly slots: Map<string, Slot>;
  open: EntityBatch | undefined;
}

export type EntityRequests = Map<string, Table>;
