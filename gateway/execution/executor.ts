/**
 * From a validated query or mutation to its answer. What depends on the operation alone is done once, by `prepare`: the plan is
 * made and compiled into steps (`plan/`), and the answer's shape into a writer (`response/`). `execute` coerces the variables,
 * runs the steps against the subgraphs (`subgraphs/`), which join what they get into one object, and has that written as text.
 * A prepared operation is bound to the supergraph that was current when it was prepared: it stays executable when a new one
 * comes, and whoever keeps it prepares it again for the new one.
 */
import type { QueryPlan } from '@apollo/query-planner';
import {
  getOperationAST,
  GraphQLError,
  OperationTypeNode,
  type DocumentNode,
  type GraphQLFormattedError,
  type OperationDefinitionNode,
} from 'graphql';
import { FleetgraphError, messageOf } from '../../platform/errors.js';
import { exactJson } from '../../platform/json/exact-json.js';
import type { GatewayContext } from '../request-context.js';
import { planOperation, type PlannedOperation } from '../supergraph/plan-operation.js';
import type { PlanOperation } from '../supergraph/planning/planning.js';
import { clientNames } from '../supergraph/separate-names.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { presentError, type FormatError } from '../present-error.js';
import { createCachePolicy } from './cache-policy.js';
import type { CancelSignal } from './cancellation.js';
import type { ResponseCache } from './response-cache.js';
import { compilePlan } from './plan/compile-plan.js';
import { refuseUnsupported } from './refuse-unsupported.js';
import { compileResponse, type Respond } from './response/respond.js';
import type { Restriction } from './restriction.js';
import { createFailurePlaces, type PlacedFailure } from './response/failure-places.js';
import type { Run, Step } from './run.js';
import { authorityOf, type RequestDeduplication } from './subgraphs/request-deduplication.js';
import { createTapePool } from './tape/tape.js';
import type { Subgraphs } from './subgraphs/subgraph.js';
import { compileCoercion, type CoercedVariables, type CoerceVariables } from './variables/coerce-variables.js';

export interface Executor {
  /**
   * Plans and compiles a validated operation (query or mutation): everything that depends on the operation alone. Callers keep it.
   * @param supergraph default: the current one. Another one to be ready for it before it becomes the current one.
   * @param restriction what of it is not to be executed
   * @param overrides labels of `@override` that are on
   * @throws FleetgraphError BAD_USER_INPUT or GraphQLError if there is no plan for it.
   */
  prepare(
    document: DocumentNode,
    operationName: string | undefined,
    supergraph?: Supergraph,
    restriction?: Restriction,
    overrides?: readonly string[],
  ): PreparedOperation;
  /** The same with a plan that may take its time. Rejects, or throws, as `plan` does. */
  prepareWith(
    plan: PlanOperation,
    document: DocumentNode,
    operationName: string | undefined,
    supergraph: Supergraph,
    restriction?: Restriction,
    overrides?: readonly string[],
  ): PreparedOperation | Promise<PreparedOperation>;
  /** Never rejects but with what `signal` was aborted with. */
  execute(operation: PreparedOperation, request: ExecutionRequest): Promise<ExecutionOutcome>;
}

export interface PreparedOperation {
  /** Differs from that of every other. */
  readonly number: number;
  readonly operation: OperationDefinitionNode;
  readonly supergraph: Supergraph;
  /** For those who explain: what the planner decided. */
  readonly queryPlan: QueryPlan;
  /** Makes the variables of a request ready for it. */
  readonly coerce: CoerceVariables;
  /** Fetches and joins. */
  readonly step: Step;
  /** Writes. */
  readonly respond: Respond;
}

export interface ExecutionRequest {
  /** As they came, to be coerced. Those that don't fit are request errors, BAD_USER_INPUT. */
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
  /** Aborted when the client has gone: what is under way at the subgraphs ends. */
  readonly signal?: CancelSignal;
}

export interface ExecutionOutcome {
  /** JSON, written once: `{"data":…}`. The data is null when a null went up to the root. Undefined when nothing was executed: a request error. */
  readonly body: Buffer | undefined;
  /** As clients may see them. */
  readonly errors: readonly GraphQLFormattedError[];
  /** How long it may be kept, and by whom, as the HTTP header says it; undefined if not at all. */
  readonly cacheControl?: string | undefined;
  /** For how many seconds anybody may be given it. */
  readonly publicSeconds?: number;
}

export interface ExecutorOptions {
  readonly supergraph: () => Supergraph;
  readonly subgraphs: Subgraphs & {
    /** With it, queries that are the same in all and come at the same time are executed once. */
    readonly deduplication?: RequestDeduplication | undefined;
  };
  /** What of an error a client may see. */
  readonly formatError: FormatError;
  /** Where answers that anybody may have are kept. */
  readonly responses?: ResponseCache | undefined;
}

const noErrors: readonly GraphQLFormattedError[] = [];

export function createExecutor(options: ExecutorOptions): Executor {
  const { subgraphs, formatError, responses } = options;
  const tapes = createTapePool();
  let prepared = 0;

  const run = async (
    { operation, step, respond }: PreparedOperation,
    { context }: ExecutionRequest,
    { coerced: variables, sent: given, isLossless }: CoercedVariables,
    signal: CancelSignal | undefined,
  ): Promise<ExecutionOutcome> => {
    const isReadOnly = operation.operation === OperationTypeNode.QUERY;
    const { deduplication } = subgraphs;
    const authority = deduplication && authorityOf(context);
    if (authority !== undefined) deduplication?.enter(authority);
    const tape = tapes.take();
    const current: Run = {
      data: {},
      tape,
      variables,
      given,
      isLossless,
      context,
      signal,
      failures: [],
      entityRequests: new Map(),
      isReadOnly,
      cachePolicy: isReadOnly ? createCachePolicy() : undefined,
    };
    try {
      const pending = step(current);
      if (pending) await pending;
    } finally {
      if (authority !== undefined) deduplication?.leave(authority);
    }
    if (signal?.aborted === true) throw signal.reason;
    const outcome = outcomeOf(current, respond, formatError);
    // All steps have ended, and the answer has bytes of its own. A run that was aborted keeps its tape: steps may go on.
    tapes.give(tape);
    const { cachePolicy } = current;
    const cacheControl = outcome.errors.length === 0 ? cachePolicy?.header() : undefined;
    return cacheControl === undefined
      ? outcome
      : { ...outcome, cacheControl, publicSeconds: cachePolicy?.publicSeconds() ?? 0 };
  };

  /** Those who ask for the same at the same time, as the same caller, share one execution. */
  const readOnce = (
    made: PreparedOperation,
    request: ExecutionRequest,
    variables: CoercedVariables,
    asked: string,
  ): Promise<ExecutionOutcome> => {
    const { deduplication } = subgraphs;
    if (!deduplication) return run(made, request, variables, request.signal);
    return deduplication.share(authorityOf(request.context), asked, request.signal, (whileWanted) =>
      run(made, request, variables, whileWanted),
    );
  };

  /** What the operation is, apart from its plan. */
  interface Preparation {
    readonly document: DocumentNode;
    readonly operation: OperationDefinitionNode;
    readonly supergraph: Supergraph;
    readonly restriction: Restriction | undefined;
  }
  const preparationOf = (
    document: DocumentNode,
    operationName: string | undefined,
    supergraph: Supergraph,
    restriction: Restriction | undefined,
  ): Preparation => {
    const operation = getOperationAST(document, operationName);
    if (!operation) throw new FleetgraphError('BAD_USER_INPUT', 'The document has no operation of that name.');
    refuseUnsupported(document, operation);
    return { document, operation, supergraph, restriction };
  };
  const compile = (
    { document, operation, supergraph, restriction }: Preparation,
    { queryPlan, dataNames }: PlannedOperation,
  ): PreparedOperation => {
    const { apiSchema, supergraphSchema } = supergraph;
    const { node } = queryPlan;
    if (node?.kind === 'Subscription')
      throw new FleetgraphError('BAD_USER_INPUT', 'A subscription needs a transport that can stream.');
    prepared += 1;
    return {
      number: prepared,
      operation,
      supergraph,
      queryPlan,
      coerce: compileCoercion(apiSchema, document, operation),
      step: compilePlan(node, { schema: supergraphSchema, subgraphs, clientNames: clientNames(dataNames) }),
      respond: compileResponse(apiSchema, document, operation, restriction?.denials, dataNames),
    };
  };

  return {
    prepare(document, operationName, supergraph = options.supergraph(), restriction, overrides) {
      const preparation = preparationOf(document, operationName, supergraph, restriction);
      const allowed = restriction?.allowed ?? document;
      return compile(preparation, planOperation(supergraph, allowed, operationName, overrides));
    },

    prepareWith(plan, document, operationName, supergraph, restriction, overrides) {
      const preparation = preparationOf(document, operationName, supergraph, restriction);
      const planned = plan(supergraph, restriction?.allowed ?? document, operationName, overrides);
      return planned instanceof Promise
        ? planned.then((made) => compile(preparation, made))
        : compile(preparation, planned);
    },

    async execute(made, request) {
      const variables = made.coerce(request.variables);
      if ('errors' in variables)
        return { body: undefined, errors: variables.errors.map((error) => presentError(error, formatError)) };
      if (made.operation.operation !== OperationTypeNode.QUERY) return run(made, request, variables, request.signal);
      const given = variables.isLossless ? exactJson(variables.sent) : JSON.stringify(variables.sent);
      const asked = `${made.number}\n${given}`;
      // Who has just written something wants to see it.
      const mayBeOlder = request.context.forwarded['x-fleetgraph-consistency'] === undefined;
      const kept = mayBeOlder ? responses?.get(asked) : undefined;
      if (kept) return { body: kept.body, errors: noErrors, cacheControl: `max-age=${kept.seconds}, public` };
      const outcome = await readOnce(made, request, variables, asked);
      if (responses && outcome.body !== undefined && (outcome.publicSeconds ?? 0) > 0)
        responses.set(asked, outcome.body, outcome.publicSeconds ?? 0);
      return outcome;
    },
  };
}

/**
 * The text, and the errors: each failure in the places where something is missing because of it,
 * and what is wrong besides.
 */
export function outcomeOf(
  { tape, data, variables, given, failures }: Run,
  respond: Respond,
  formatError: FormatError,
): ExecutionOutcome {
  const places = failures.length > 0 ? createFailurePlaces(failures) : undefined;
  let response: ReturnType<Respond>;
  try {
    response = respond(tape, data, variables, given, places);
  } catch (error) {
    const formatted = error instanceof GraphQLError ? error.toJSON() : { message: messageOf(error) };
    return { body: Buffer.from('{"data":null}'), errors: [formatError(formatted, error)] };
  }
  if (!places && response.errors.length === 0) return { body: response.body, errors: noErrors };
  return {
    body: response.body,
    errors: [
      ...(places?.all() ?? []).flatMap((placed) => errorsOf(placed, formatError)),
      ...response.errors.map((error) => formatError(error.toJSON(), error)),
    ],
  };
}

/** Formatted, and logged, once: in all of its places it is the same error. */
function errorsOf({ failure, paths }: PlacedFailure, formatError: FormatError): GraphQLFormattedError[] {
  const { error, cause } = failure;
  const [first, ...others] = paths;
  const formatted = formatError(first ? { ...error, path: first } : error, cause);
  return [formatted, ...others.map((path) => ({ ...formatted, path }))];
}
