/**
 * From a validated query or mutation to its answer. What depends on the operation alone is done once, by `prepare`; `execute`
 * coerces the variables, runs the plan against the subgraphs, and gives the answer as text.
 * A prepared operation is bound to the supergraph that was current when it was prepared: it stays executable when a new one
 * comes, and whoever keeps it prepares it again for the new one.
 */
import { buildOperationContext, executeQueryPlan, type GraphQLDataSource } from '@apollo/gateway';
import { operationFromDocument } from '@apollo/federation-internals';
import type { QueryPlan } from '@apollo/query-planner';
import {
  getVariableValues,
  GraphQLError,
  type DocumentNode,
  type FormattedExecutionResult,
  type GraphQLFormattedError,
  type OperationDefinitionNode,
} from 'graphql';
import type { GatewayContext } from '../request-context.js';
import type { SubgraphSources } from '../supergraph/subgraph-sources.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { presentError, type FormatError } from '../transports/present-error.js';

export interface Executor {
  /**
   * Plans and compiles a validated operation (query or mutation): everything that depends on the operation alone. Callers keep it.
   * @throws GraphQLError if there is no plan for it.
   */
  prepare(document: DocumentNode, operationName: string | undefined): PreparedOperation;
  execute(operation: PreparedOperation, request: ExecutionRequest): Promise<ExecutionOutcome>;
}

export interface PreparedOperation {
  readonly operation: OperationDefinitionNode;
  readonly supergraph: Supergraph;
  /** For those who explain: what the planner decided. */
  readonly queryPlan: QueryPlan;
}

export interface ExecutionRequest {
  /** As they came, to be coerced. Those that don't fit are request errors, BAD_USER_INPUT. */
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
  /** Aborted when the client has gone: what is under way at the subgraphs ends. */
  readonly signal?: AbortSignal;
}

export interface ExecutionOutcome {
  /** JSON, written once. "null" when a null went up to the root; undefined when nothing was executed: a request error. */
  readonly data: string | undefined;
  /** As clients may see them. */
  readonly errors: readonly GraphQLFormattedError[];
}

export interface ExecutorOptions {
  readonly supergraph: () => Supergraph;
  readonly sources: SubgraphSources;
  /** What of an error a client may see. */
  readonly formatError: FormatError;
}

type RequestContext = Parameters<typeof executeQueryPlan>[2];
type OperationContext = ReturnType<typeof buildOperationContext>;

export function createExecutor(options: ExecutorOptions): Executor {
  const { sources, formatError } = options;
  const serviceMap = new Proxy<Record<string, GraphQLDataSource>>(
    {},
    { get: (_target, name) => (typeof name === 'string' ? sources.of(name) : undefined) },
  );
  const contexts = new WeakMap<PreparedOperation, OperationContext>();
  return {
    prepare(document, operationName) {
      const supergraph = options.supergraph();
      const name = operationName === undefined ? {} : { operationName };
      const context = buildOperationContext({ schema: supergraph.apiSchema, operationDocument: document, ...name });
      const operation = operationFromDocument(supergraph.federatedApiSchema, document, name);
      const prepared: PreparedOperation = {
        operation: context.operation,
        supergraph,
        queryPlan: supergraph.planner.buildQueryPlan(operation),
      };
      contexts.set(prepared, context);
      return prepared;
    },
    async execute(prepared, { variables, context }) {
      const { operation, supergraph, queryPlan } = prepared;
      const operationContext = contexts.get(prepared);
      if (!operationContext) throw new Error('The operation was prepared by another executor.');
      const { apiSchema, supergraphSchema, federatedApiSchema } = supergraph;
      const { errors: faults } = getVariableValues(apiSchema, operation.variableDefinitions ?? [], variables, {
        maxErrors: 5,
      });
      if (faults) return { data: undefined, errors: faults.map((fault) => presentError(fault, formatError)) };
      // The parts of Apollo Server's request context that the executor reads.
      const requestContext = {
        ...{ request: { variables: { ...variables } }, context, metrics: {}, queryHash: '', cache: undefined },
      } as unknown as RequestContext;
      const result = (await executeQueryPlan(
        ...([queryPlan, serviceMap, requestContext, operationContext, supergraphSchema, federatedApiSchema] as const),
      )) as FormattedExecutionResult;
      const errors = (result.errors ?? []).map((error) =>
        formatError(error instanceof GraphQLError ? error.toJSON() : error, error),
      );
      return { data: JSON.stringify(result.data ?? null), errors };
    },
  };
}
