/** What is asked of a subgraph for a stream, and what becomes of each event that it answers with. */
import type { StreamRequest } from '../../platform/graphql/stream-contract.js';
import type { GatewayContext } from '../request-context.js';
import type { EventFrame } from './event-frame.js';
import type { EventExecutor } from './execute-event.js';
import type { Work } from './in-order.js';
import { placed, type StreamPayload } from './payload.js';
import { sinceVariable, type SubscriptionPlan } from './plan.js';
import type { UpstreamOperation } from './upstream-connection.js';

/** What a stream is of. */
export interface StreamIdentity {
  /** Equal for those that are the same. */
  readonly key: string;
  readonly plan: SubscriptionPlan;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** The operation at the subgraph that owns the field. @param since the cursor behind which it begins */
export function operationOf(
  { plan, variables }: StreamIdentity,
  context: GatewayContext,
  since: string | undefined,
  stream: StreamRequest | undefined,
): UpstreamOperation {
  const { authorization, traceparent, 'x-correlation-id': correlationId, ...rest } = context.forwarded;
  const used = new Set(plan.primary.variableUsages ?? []);
  const own = Object.fromEntries(Object.entries(variables).filter(([name]) => used.has(name)));
  return {
    query: plan.resumption?.query ?? plan.primary.operation,
    variables: since === undefined ? own : { ...own, [sinceVariable]: since },
    // What a client has written must be in what it begins with; what happens comes by itself.
    extensions: {
      authorization,
      traceparent,
      correlationId,
      ...(stream?.phase === 'live' ? {} : { consistencyToken: rest['x-fleetgraph-consistency'] }),
      ...(stream ? { stream } : {}),
    },
  };
}

/** The payload of an event that is the completed answer; undefined if it has to be executed. */
export function payloadAtOnce(
  identity: StreamIdentity,
  event: EventFrame,
  { fits }: Pick<EventExecutor, 'fits'>,
): StreamPayload | undefined {
  if (!identity.plan.isWhole || !event.hasData((json, from, to) => fits(identity, json, from, to))) return undefined;
  const bytes = event.answer();
  return bytes && placed(bytes, event.stream);
}

/** What is to be done for an event to have its payload. @throws NotJson, MalformedEvent */
export function workFor(
  identity: StreamIdentity,
  event: EventFrame,
  context: GatewayContext,
  { execute }: Pick<EventExecutor, 'execute'>,
): Work<StreamPayload> {
  // Read now: the bytes are part of a larger buffer, which what waits must not keep.
  const [result, { stream }] = [event.result(), event];
  return () => {
    const joined = execute(identity, result, context);
    return joined instanceof Promise ? joined.then((bytes) => placed(bytes, stream)) : placed(joined, stream);
  };
}
