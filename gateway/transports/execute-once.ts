/** A query or mutation of any transport: executed, with a deadline, counted, and answered as text. */
import { prettyFormatQueryPlan } from '@apollo/query-planner';
import { OperationTypeNode } from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import { Cancellation, type CancelSignal } from '../execution/cancellation.js';
import type { ExecutionOutcome, Executor, PreparedOperation } from '../execution/executor.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import type { GatewayContext } from '../request-context.js';
import { boundedErrors } from '../guards/max-errors.js';
import { answerOf, dataIn, type Answer } from '../execution/response/answer.js';
import type { KnownOperation } from './operations.js';
import { presentError, type FormatError } from '../present-error.js';

export interface OnceRequest {
  readonly operation: KnownOperation;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
  /** Aborted when the client has gone. */
  readonly signal?: CancelSignal;
  /** Whether the answer is to say what it cost. */
  readonly wantsCost?: boolean;
  /** Whether it is to show the plan. */
  readonly wantsPlan?: boolean;
}

/** Never rejects for what is wrong with the operation or its execution: the answer has the errors. */
export type ExecuteOnce = (request: OnceRequest) => Promise<Answer>;

/** Stands for the answer of an operation whose client has disconnected. */
const unsent = answerOf(undefined, []);

export function createExecuteOnce(options: {
  executor: Executor;
  formatError: FormatError;
  metrics: GatewayMetrics;
  /** From the first fetch to the last, milliseconds. */
  timeoutMs: number;
  /** In one answer. */
  maxErrors: number;
}): ExecuteOnce {
  const { executor, formatError, metrics, timeoutMs, maxErrors } = options;
  // Labels are looked up once, and not for each request.
  const counted = byType((type) => ({
    ok: metrics.requests.labels({ type, outcome: 'ok' }),
    error: metrics.requests.labels({ type, outcome: 'error' }),
    aborted: metrics.requests.labels({ type, outcome: 'aborted' }),
  }));
  const timed = byType((type) => metrics.requestSeconds.labels({ type }));

  return async (request) => {
    const startedAt = performance.now();
    const { operation, variables, context, signal } = request;
    const { operation: type } = operation.operation;
    let answer: Answer | undefined;
    const stop = new Cancellation();
    const abort = (): void => stop.abort();
    signal?.addEventListener('abort', abort, { once: true });
    let timer: NodeJS.Timeout | undefined;
    try {
      const planned = operation.admit(context.identity, variables, context).prepared();
      const prepared = planned instanceof Promise ? await planned : planned;
      const outcome = await new Promise<ExecutionOutcome>((resolve, reject) => {
        timer = setTimeout(() => {
          reject(
            new FleetgraphError(
              'UNAVAILABLE',
              `The operation took longer than ${timeoutMs} ms and was given up. Ask for less at once, or try again.`,
            ),
          );
          stop.abort();
        }, timeoutMs);
        executor.execute(prepared, { variables, context, signal: stop }).then(resolve, reject);
      });
      const extensions = extensionsFor(request, outcome.body, prepared);
      const { body, errors, cacheControl } = outcome;
      answer = answerOf(
        body,
        boundedErrors(errors, maxErrors),
        extensions,
        extensions === undefined ? cacheControl : undefined,
      );
    } catch (error) {
      // The client has disconnected. That is no error, so nothing is logged.
      if (signal?.aborted !== true) answer = answerOf(undefined, [presentError(error, formatError)]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
    if (!answer) {
      counted[type].aborted.inc();
      return unsent;
    }
    counted[type][answer.errors.length > 0 ? 'error' : 'ok'].inc();
    timed[type].observe((performance.now() - startedAt) / 1_000);
    return answer;
  };
}

function byType<T>(make: (type: OperationTypeNode) => T): Readonly<Record<OperationTypeNode, T>> {
  return {
    query: make(OperationTypeNode.QUERY),
    mutation: make(OperationTypeNode.MUTATION),
    subscription: make(OperationTypeNode.SUBSCRIPTION),
  };
}

/**
 * What the operation was estimated to cost and did cost, for those who ask: it takes another look at the whole answer. And its plan, as
 * Apollo's tools look for it.
 */
function extensionsFor(
  { operation, variables, wantsCost, wantsPlan }: OnceRequest,
  body: Buffer | undefined,
  { queryPlan }: PreparedOperation,
): string | undefined {
  if (body === undefined || (wantsCost !== true && wantsPlan !== true)) return undefined;
  return JSON.stringify({
    ...(wantsCost === true ? { cost: operation.guard.costs(variables, JSON.parse(dataIn(body))) } : {}),
    ...(wantsPlan === true ? { apolloQueryPlan: { object: queryPlan, text: prettyFormatQueryPlan(queryPlan) } } : {}),
  });
}
