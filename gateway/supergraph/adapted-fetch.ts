import type { FetchNode } from '@apollo/query-planner';

/** A fetch with what the executor must know beside the plan. */
export interface AdaptedFetch extends FetchNode {
  /** Names of what its entities are found by: one that lacks it is not sent. */
  readonly keyNames?: ReadonlySet<string>;
  /** What entities that lack something that it requires are asked for: a fetch that was joined with it. */
  readonly alone?: AdaptedFetch;
}
