/** One execution of an operation: what its steps share. */
import type { GraphQLFormattedError } from 'graphql';
import type { CachePolicy } from './cache-policy.js';
import type { CancelSignal } from './cancellation.js';
import type { GatewayContext } from '../request-context.js';
import type { JsonObject } from './json.js';
import type { Tape } from './tape/tape.js';
import type { EntityRequests } from './plan/entity-batch.js';
import type { FieldTree } from './plan/fetched-fields.js';

export interface Run {
  /** What the subgraphs have given, joined: a tree of the tape. Each step adds to it. */
  readonly data: JsonObject;
  readonly tape: Tape;
  /** Coerced, defaults included: what conditions ask. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** As the client sent them: what subgraphs are sent, which coerce them by their own types. */
  readonly given: Readonly<Record<string, unknown>>;
  /** Whether one of them holds a number that `exactJson` alone can write. */
  readonly isLossless: boolean;
  readonly context: GatewayContext;
  readonly signal: CancelSignal | undefined;
  readonly failures: Failure[];
  /** Of what has come; undefined where nobody keeps anything. */
  readonly cachePolicy?: CachePolicy | undefined;
  /** Nothing is written: what has been read need not be read again. */
  readonly isReadOnly: boolean;
  readonly entityRequests: EntityRequests;
}

/** Something that went wrong, and what is missing because of it. */
export interface Failure {
  /** Without a path: it is reported where something is missing. */
  readonly error: GraphQLFormattedError;
  /** What it was, for the log. */
  readonly cause: unknown;
  /** The same for all failures that come of one thing that went wrong. */
  readonly origin: object;
  readonly gap: Gap;
}

/** What a failed fetch has left out of the data. */
export interface Gap {
  /** Objects of the data that were to be given something. */
  readonly objects: readonly JsonObject[];
  /** What they were to be given: what of it is missing, is so because of it. */
  readonly fields: FieldTree;
  /**
   * Where in each of the objects the subgraph says that it was, in the client's names; undefined if
   * it doesn't say.
   */
  readonly path: readonly (string | number)[] | undefined;
  /** The one of the fields that the subgraph names otherwise. */
  readonly named?: string;
  /**
   * Of which fields the nulls that came are because of it, too, as the subgraph doesn't say where
   * it was. Other nulls that came are values.
   */
  readonly suspects: FieldTree;
}

/** A part of a plan. Never throws: what goes wrong becomes a failure of the run. Undefined: it is done. */
export type Step = (run: Run) => Promise<void> | undefined;
