/**
 * One stream for all clients that want the same: one subscription at the subgraph, one execution and one serialisation for each
 * event. Who comes later catches up apart, while what happens is kept for it (member.ts), and those who come at the same time
 * catch up together.
 *
 * Where the field can be taken up again, a broken stream is, from where it broke, and no client notices. The token it runs
 * with is the one that lasts longest among its clients; when that ends, the next one takes over in the same way.
 */
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import type { StreamMark, StreamPlace, StreamRequest } from '../../platform/graphql/stream-contract.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { GatewayContext } from '../request-context.js';
import { inOrder } from './in-order.js';
import type { Member } from './member.js';
import { payloadOf, type ExecutionPayload, type StreamPayload } from './payload.js';
import { sinceVariable, type SubscriptionPlan } from './plan.js';
import { createSharedReads } from './shared-reads.js';
import { StreamInterrupted, type UpstreamEvent, type Upstreams } from './upstream.js';

export interface SharedStream {
  /** Takes a client in. It gets its payloads until it leaves or the stream ends. */
  join(member: Member): void;
  leave(member: Member): void;
  readonly size: () => number;
}

export interface SharedStreamOptions {
  readonly plan: SubscriptionPlan;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly upstreams: Upstreams;
  readonly log: Logger;
  /** The answer for an event: what other subgraphs know is fetched and joined. */
  readonly execute: (event: UpstreamEvent, context: GatewayContext) => Promise<ExecutionPayload> | ExecutionPayload;
  /** The error that a client is told. `cursor`: where it goes on. */
  readonly present: (error: unknown, cursor: string | undefined) => readonly GraphQLFormattedError[];
  /** Nobody is left; or the stream is over, and nobody may join any more. */
  readonly onOver: () => void;
  /** How long a broken stream is tried to be taken up again, milliseconds. */
  readonly resumeForMs: number;
}

/** Events that may be executed at once; behind that the next ones wait. */
const maxExecuting = 32;

interface Page {
  readonly payloads: readonly StreamPayload[];
  readonly mark: StreamMark['mark'];
}

export function createSharedStream(options: SharedStreamOptions): SharedStream {
  const { plan, upstreams, log } = options;
  const { resumption } = plan;
  const subgraph = plan.primary.serviceName;
  const used = new Set(plan.primary.variableUsages ?? []);
  const variables = Object.fromEntries(Object.entries(options.variables).filter(([name]) => used.has(name)));
  const members = new Set<Member>();
  const following = new AbortController();
  const reading = new AbortController();
  const reads = createSharedReads<Page>();
  let isOver = false;
  let cursor: string | undefined;
  let opened: () => void = () => undefined;
  let running: Promise<void> | undefined;
  const begun = new Promise<void>((resolve) => (opened = resolve));

  const operationOf = (context: GatewayContext, since: string | undefined, stream: StreamRequest | undefined) => {
    const { authorization, traceparent, 'x-correlation-id': correlationId, ...rest } = context.forwarded;
    const consistencyToken = rest['x-fleetgraph-consistency'];
    return {
      query: resumption?.query ?? plan.primary.operation,
      variables: since === undefined ? variables : { ...variables, [sinceVariable]: since },
      // What a client has written must be in what it begins with; what happens comes by itself.
      extensions: {
        ...{ authorization, traceparent, correlationId },
        ...(stream?.phase === 'live' ? {} : { consistencyToken }),
        ...(stream ? { stream } : {}),
      },
    };
  };

  const payloadFor = (event: UpstreamEvent, context: GatewayContext): Promise<StreamPayload> | StreamPayload => {
    const place = placeOf(event);
    const result = options.execute(event, context);
    return result instanceof Promise ? result.then((known) => payloadOf(known, place)) : payloadOf(result, place);
  };

  /** The client whose token lasts longest. */
  const sponsor = (): Member | undefined => {
    let best: Member | undefined;
    for (const member of members) if (!best || expiryOf(member) > expiryOf(best)) best = member;
    return best;
  };

  const deliver = (payload: StreamPayload): void => {
    for (const member of members) member.offer(payload);
  };

  /** Follows the subgraph's stream to its end. @throws what it broke with. */
  const follow = async (context: GatewayContext, onEvent: () => void): Promise<void> => {
    const operation = operationOf(context, cursor, resumption ? { phase: 'live' } : undefined);
    // A stream without phases says nothing until something happens.
    if (!resumption) opened();
    const ordered = inOrder(maxExecuting, deliver);
    try {
      for await (const event of upstreams.subscribe(subgraph, operation, following.signal)) {
        onEvent();
        const mark = markOf(event);
        if (mark) {
          cursor = mark.cursor ?? cursor;
          opened();
        } else {
          cursor = placeOf(event)?.cursor ?? cursor;
          await ordered.add(payloadFor(event, context));
        }
      }
    } finally {
      // What came before a break comes out before what comes after it.
      await ordered.settled();
    }
  };

  const failAll = (error: unknown): void => {
    const failed = [...members];
    members.clear();
    overIfEmpty();
    for (const member of failed) member.end({ kind: 'error', errors: options.present(error, member.cursor) });
  };

  /** The subgraph has nothing more. Who is still catching up goes on with that; nobody joins any more. */
  const completeAll = (): void => {
    isOver = true;
    options.onOver();
    for (const member of [...members]) member.end({ kind: 'complete' });
    overIfEmpty();
  };

  const run = async (): Promise<void> => {
    let interruptedAt: number | undefined;
    for (let attempt = 0; ; attempt += 1) {
      const member = sponsor();
      if (!member) {
        overIfEmpty();
        return;
      }
      // Its client may have a new one when this one ends.
      const { context } = member;
      try {
        await follow(context, () => {
          if (interruptedAt !== undefined) log.info({ subgraph }, 'a stream was taken up again');
          interruptedAt = undefined;
          attempt = 0;
        });
        if (!following.signal.aborted) completeAll();
        return;
      } catch (error) {
        if (following.signal.aborted) return;
        const isTokenOver = isUnauthenticated(error) && (context.identity?.expiresAtMs ?? 0) <= Date.now() + 1_000;
        const canResume = cursor !== undefined && (isTokenOver || isInterruption(error));
        interruptedAt ??= performance.now();
        if (!canResume || performance.now() - interruptedAt > options.resumeForMs) {
          failAll(error);
          return;
        }
        log.debug({ subgraph, err: error }, 'a stream broke off and is taken up again');
        // The transport ends those whose token is over; what they don't get they may not have.
        if (isTokenOver && member.context === context) members.delete(member);
        if (!isTokenOver) await pause(20 + backoffMs(attempt, 50, 2_000), following.signal);
      }
    }
  };

  /** A page, however often the way to the subgraph breaks: where it begins, the page says itself. */
  const readPage = async (
    context: GatewayContext,
    since: string | undefined,
    page: string | undefined,
  ): Promise<Page> => {
    const startedAt = performance.now();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await readPageOnce(context, since, page);
      } catch (error) {
        if (!isInterruption(error) || reading.signal.aborted || performance.now() - startedAt > options.resumeForMs)
          throw error;
        await pause(20 + backoffMs(attempt, 50, 2_000), reading.signal);
      }
    }
  };

  const readPageOnce = async (
    context: GatewayContext,
    since: string | undefined,
    page: string | undefined,
  ): Promise<Page> => {
    const request: StreamRequest = { phase: 'catchUp', ...(page === undefined ? {} : { page }) };
    const payloads: StreamPayload[] = [];
    let mark: StreamMark['mark'] | undefined;
    const ordered = inOrder<StreamPayload>(maxExecuting, (payload) => payloads.push(payload));
    for await (const event of upstreams.subscribe(subgraph, operationOf(context, since, request), reading.signal)) {
      const found = markOf(event);
      if (found) mark = found;
      else await ordered.add(payloadFor(event, context));
    }
    await ordered.settled();
    if (!mark) throw new StreamInterrupted(new Error('the subgraph ended a page without a mark'));
    return { payloads, mark };
  };

  const catchUp = async (member: Member): Promise<void> => {
    await begun;
    let page: string | undefined;
    for (let since = member.cursor; !member.hasEnded;) {
      const consistency = member.context.forwarded['x-fleetgraph-consistency'];
      const from = since;
      const behind = page;
      const { payloads, mark } = await reads.read(JSON.stringify([from, behind, consistency]), () =>
        readPage(member.context, from, behind),
      );
      for (const payload of payloads) await member.catchUp(payload);
      page = mark.next;
      if (page !== undefined) continue;
      if (mark.ended) {
        member.goLive(undefined);
        member.end({ kind: 'complete' });
      } else if (member.hasGap) {
        since = mark.cursor;
        member.closeGap();
      } else {
        member.cursor ??= mark.cursor;
        member.goLive(mark.position === undefined ? undefined : BigInt(mark.position));
        return;
      }
    }
  };

  const failOne = (member: Member, error: unknown): void => {
    members.delete(member);
    member.end({ kind: 'error', errors: options.present(error, member.cursor) });
    overIfEmpty();
  };

  const overIfEmpty = (): void => {
    if (members.size > 0) return;
    following.abort();
    reading.abort();
    if (isOver) return;
    isOver = true;
    options.onOver();
  };

  return {
    join(member) {
      members.add(member);
      running ??= run();
      if (resumption) {
        catchUp(member).then(overIfEmpty, (error: unknown) => {
          if (!member.hasEnded && members.has(member)) failOne(member, error);
        });
      } else member.goLive(undefined);
    },
    leave(member) {
      members.delete(member);
      member.leave();
      overIfEmpty();
    },
    size: () => members.size,
  };
}

function expiryOf({ context }: Member): number {
  return context.identity?.expiresAtMs ?? 0;
}

function streamOf(event: UpstreamEvent): Partial<StreamPlace & StreamMark> | undefined {
  return event.extensions?.['stream'] as Partial<StreamPlace & StreamMark> | undefined;
}

function markOf(event: UpstreamEvent): StreamMark['mark'] | undefined {
  return streamOf(event)?.mark;
}

function placeOf(event: UpstreamEvent): Partial<StreamPlace> | undefined {
  return streamOf(event);
}

function isUnauthenticated(error: unknown): boolean {
  return error instanceof GraphQLError && error.extensions['code'] === 'UNAUTHENTICATED';
}

/** Whether the subgraph, or the way there, broke off for a reason that has nothing to do with the operation. */
function isInterruption(error: unknown): boolean {
  return (
    error instanceof StreamInterrupted || (error instanceof GraphQLError && error.extensions['code'] === 'UNAVAILABLE')
  );
}
