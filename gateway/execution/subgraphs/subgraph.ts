/** What the executor asks of a subgraph, wherever that is: over HTTP, or in this process. */
import type { FetchNode } from '@apollo/query-planner';
import { OperationTypeNode } from 'graphql';
import type { GatewayContext } from '../../request-context.js';
import type { CancelSignal } from '../cancellation.js';
import type { JsonObject } from '../json.js';
import type { SubgraphError } from './subgraph-error.js';
import type { AnswerReader } from '../tape/answer-reader.js';

export interface Subgraph {
  readonly name: string;
  /**
   * The answer, whose data the caller may change; with as many entities as were asked for, or an
   * error in their place.
   * @throws GraphQLError without a path: UNAVAILABLE if there is no answer, UNAUTHENTICATED or
   * FORBIDDEN if the subgraph lets nobody in with this token, RATE_LIMITED if it takes no more;
   * INTERNAL_SERVER_ERROR if its answers can't be read at all; what the signal was aborted with.
   */
  fetch(request: SubgraphRequest): Promise<SubgraphResponse>;
}

export interface SubgraphRequest {
  readonly operation: SubgraphOperation;
  /** Values by name as JSON, without the braces around them: `"id":"1","first":5`, or nothing. */
  readonly variables: string;
  /** Entities asked for, each as JSON; undefined if it is no fetch of entities. */
  readonly representations: readonly string[] | undefined;
  readonly context: GatewayContext;
  readonly signal: CancelSignal | undefined;
  /** What becomes of the data; absent: it is given as it was parsed. */
  readonly reader?: AnswerReader;
}

export interface SubgraphResponse {
  readonly data?: JsonObject | null;
  readonly errors?: readonly SubgraphError[];
  /** How long it may be kept, in the words of the HTTP header; undefined if nothing was said. */
  readonly cacheControl?: string;
}

/** What of a fetch depends on its plan alone. */
export interface SubgraphOperation {
  readonly query: string;
  readonly operationName: string | undefined;
  readonly isMutation: boolean;
  /** The body of a request up to the values of its variables. */
  readonly bodyStart: string;
}

export interface Subgraphs {
  /** @throws Error for a name that is in the supergraph but was not set up. */
  of(name: string): Subgraph;
}

export function subgraphOperation({ operation, operationName, operationKind }: FetchNode): SubgraphOperation {
  const name = operationName === undefined ? '' : `"operationName":${JSON.stringify(operationName)},`;
  return {
    query: operation,
    operationName,
    isMutation: operationKind === OperationTypeNode.MUTATION,
    bodyStart: `{"query":${JSON.stringify(operation)},${name}"variables":{`,
  };
}

/** @throws Error if entities were asked for, and there is neither one for each nor an error in the place of all. */
export function checkEntities({ representations }: SubgraphRequest, { data, errors }: SubgraphResponse): void {
  if (!representations || (!data && errors && errors.length > 0)) return;
  const received = data?.['_entities'];
  if (Array.isArray(received) && received.length === representations.length) return;
  const got = Array.isArray(received) ? String(received.length) : `no list but ${typeof received}`;
  throw new Error(`Asked for ${representations.length} entities, got ${got}.`);
}

/** The variables with the representations among them, without braces. */
export function variablesText({ variables, representations }: SubgraphRequest): string {
  if (representations === undefined) return variables;
  const list = `"representations":[${representations.join(',')}]`;
  return variables === '' ? list : `${variables},${list}`;
}
