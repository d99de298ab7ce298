/** One execution of an operation: what its steps share. */
import type { GraphQLFormattedError } from 'graphql';
import type { CachePolicy } from './cache-policy.js';
import type { CancelSignal } from './cancellation.js';
import type { GatewayContext } from '../request-context.js';
import type { JsonObject } from './json.js';
import type { Tape } from './tape/tape.js';
import type { EntityRequests } from './plan/entity-batch.js';

export interface Run {
  /** What the subgraphs have given, joined: a tree of the tape. Each step adds to it. */
  readonly data: JsonObject;
  readonly tape: Tape;
  /** Coerced, defaults included: what conditions ask. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** As the client sent them: what subgraphs are sent, which coerce them by their own types. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
  readonly signal: CancelSignal | undefined;
  readonly failures: Failure[];
  /** Of what has come; undefined where nobody keeps anything. */
  readonly cachePolicy?: CachePolicy;
  /** Nothing is written: what has been read need not be read again. */
  readonly isReadOnly: boolean;
  readonly entityRequests: EntityRequests;
}

/** Something that went wrong, with its place in the answer. */
export interface Failure {
  readonly error: GraphQLFormattedError;
  /** What it was, for the log. */
  readonly cause: unknown;
}

/** A part of a plan. Never throws: what goes wrong becomes a failure of the run. Undefined: it is done. */
export type Step = (run: Run) => Promise<void> | undefined;

/** Whether a failure has been told that accounts for a null at the path: at the same place, above it, or below it. */
export function isExplained(path: readonly (string | number)[], failures: readonly Failure[]): boolean {
  return failures.some(({ error }) => {
    const other = error.path ?? [];
    const common = Math.min(path.length, other.length);
    for (let index = 0; index < common; index += 1) if (path[index] !== other[index]) return false;
    return true;
  });
}
