/**
 * One event of a subscription: what the subgraph sent is given data, the rest of the plan is fetched and joined, and the answer
 * is written, as for a query (`execution/`). `fits` finds events that are the answer already.
 */
import type { GraphQLFormattedError } from 'graphql';
import { hasLosslessNumber } from '../../platform/json/exact-json.js';
import type { GatewayContext } from '../request-context.js';
import { outcomeOf } from '../execution/executor.js';
import { compilePlan } from '../execution/plan/compile-plan.js';
import { namesInPlan, withRoom } from '../execution/plan/plan-names.js';
import { answerShape } from '../execution/tape/answer-shape.js';
import { compileRewrites, type Rewrite } from '../execution/plan/rewrites.js';
import { compileCheck, type Check } from '../execution/response/compile-check.js';
import { compileResponse, type Respond } from '../execution/response/respond.js';
import type { JsonObject } from '../execution/json.js';
import { failuresOfData } from '../execution/plan/fetch-failures.js';
import { fragmentsOf } from '../execution/response/response-shape.js';
import { shapeVariants } from '../execution/response/shape-variants.js';
import type { Failure, Run, Step } from '../execution/run.js';
import { errorsIn } from '../execution/subgraphs/subgraph-error.js';
import { batchEntities } from '../execution/subgraphs/batch-entities.js';
import type { Subgraphs } from '../execution/subgraphs/subgraph.js';
import { clientNames } from '../supergraph/separate-names.js';
import { answerOf } from '../execution/response/answer.js';
import { compileAnswerReader, type ReaderFor } from '../execution/tape/answer-reader.js';
import { createTapePool } from '../execution/tape/tape.js';
import type { FormatError } from '../present-error.js';
import type { UpstreamEvent } from './event-frame.js';
import type { SubscriptionPlan } from './plan.js';
import { wellFormedErrors } from './subgraph-errors.js';

interface PlannedStream {
  readonly plan: SubscriptionPlan;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** @returns JSON of the payload for the client. A field whose subgraph is down is null, with an error that has its path. */
export type ExecuteEvent = (
  stream: PlannedStream,
  event: UpstreamEvent,
  context: GatewayContext,
) => Promise<Buffer> | Buffer;

/** Whether the data of an event, the JSON between two positions, is the completed answer. */
export type EventFits = (stream: PlannedStream, json: Buffer, from: number, to: number) => boolean;

export interface EventExecutor {
  readonly execute: ExecuteEvent;
  readonly fits: EventFits;
}

export interface EventExecutorOptions {
  readonly subgraphs: Subgraphs;
  readonly formatError: FormatError;
  /** How many errors one payload has; default: all of them. */
  readonly limitErrors?: ((errors: readonly GraphQLFormattedError[]) => readonly GraphQLFormattedError[]) | undefined;
}

interface Compiled {
  readonly readerFor: ReaderFor;
  readonly rewrite: Rewrite | undefined;
  readonly step: Step;
  readonly respond: Respond;
}

export function createEventExecutor(options: EventExecutorOptions): EventExecutor {
  const { formatError, limitErrors = all } = options;
  const subgraphs = batchEntities(options.subgraphs);
  const compiled = new WeakMap<SubscriptionPlan, Compiled>();
  const tapes = createTapePool();
  const compile = (plan: SubscriptionPlan): Compiled => {
    const { supergraph, primary, rest, document, denials, dataNames, operation } = plan;
    const schema = supergraph.supergraphSchema;
    const made = {
      readerFor: compileAnswerReader(withRoom(answerShape(primary.operation, schema), namesInPlan(rest, schema))),
      rewrite: compileRewrites(schema, primary.outputRewrites),
      step: compilePlan(rest, { schema, subgraphs, clientNames: clientNames(dataNames) }),
      respond: compileResponse(supergraph.apiSchema, document, operation, denials, dataNames),
    };
    compiled.set(plan, made);
    return made;
  };

  const checks = new WeakMap<SubscriptionPlan, (variables: PlannedStream['variables']) => Check>();
  const checkOf = (plan: SubscriptionPlan): ((variables: PlannedStream['variables']) => Check) => {
    const { supergraph, document, operation, denials, dataNames } = plan;
    const shaped = { schema: supergraph.apiSchema, operation, fragments: fragmentsOf(document), denials, dataNames };
    const made = shapeVariants(document, shaped, compileCheck);
    checks.set(plan, made);
    return made;
  };

  const execute: ExecuteEvent = ({ plan, variables }, { data, errors }, context) => {
    const { readerFor, rewrite, step, respond } = compiled.get(plan) ?? compile(plan);
    const tape = tapes.take();
    const tree = data ? readerFor(tape).fromValues(data) : {};
    rewrite?.(tree);
    const run: Run = {
      data: tree,
      tape,
      variables,
      given: variables,
      context,
      signal: undefined,
      isLossless: hasLosslessNumber(variables),
      failures: [],
      isReadOnly: true,
      entityRequests: new Map(),
    };
    if (errors) run.failures.push(...failuresOfEvent(errors, plan, run.data));
    const write = (): Buffer => {
      const outcome = outcomeOf(run, respond, formatError);
      tapes.give(tape);
      return answerOf(outcome.body, limitErrors(outcome.errors)).body;
    };
    const pending = step(run);
    return pending ? pending.then(write) : write();
  };

  return {
    execute,
    fits: ({ plan, variables }, json, from, to) => (checks.get(plan) ?? checkOf(plan))(variables)(json, from) === to,
  };
}

const all = (errors: readonly GraphQLFormattedError[]): readonly GraphQLFormattedError[] => errors;

/** What the subgraph says went wrong with the event itself. */
function failuresOfEvent(
  errors: readonly unknown[],
  { primary, dataNames }: SubscriptionPlan,
  data: JsonObject,
): Failure[] {
  const fetch = { subgraph: primary.serviceName, fetched: primary, clientNames: clientNames(dataNames) };
  return failuresOfData(errorsIn(wellFormedErrors(errors, primary.serviceName), primary.serviceName), fetch, [data]);
}
