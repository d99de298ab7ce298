/** One stream for many clients, with a subgraph that is told what to say: what happens when more comes than can be joined. */
import { expect, test } from 'vitest';
import { EventFrame } from '../../../gateway/subscriptions/event-frame.js';
import { Member } from '../../../gateway/subscriptions/member.js';
import { SharedStream, type StreamServices } from '../../../gateway/subscriptions/shared-stream.js';
import type { SubscriptionPlan } from '../../../gateway/subscriptions/plan.js';
import type { UpstreamOperation, UpstreamSink } from '../../../gateway/subscriptions/upstream-connection.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';

interface Opened {
  readonly phase: unknown;
  readonly query: string;
  readonly since: unknown;
  readonly sink: UpstreamSink;
  hasLeft: boolean;
}

const planOf = (query: string, more: object = {}) =>
  ({
    primary: { serviceName: 'query', operation: query },
    isWhole: false,
    resumption: { query },
    ...more,
  }) as unknown as SubscriptionPlan;

function startStream(execute: StreamServices['execute']) {
  const opened: Opened[] = [];
  const over: SharedStream[] = [];
  const services: StreamServices = {
    upstreams: {
      subscribe(_subgraph, { query, variables, extensions }: UpstreamOperation, sink) {
        const { phase } = extensions['stream'] as { phase: string };
        const one: Opened = { phase, query, since: variables['fleetgraph_since'], sink, hasLeft: false };
        opened.push(one);
        return () => (one.hasLeft = true);
      },
      close: async () => undefined,
    },
    log: silentLog,
    execute,
    fits: () => false,
    present: (error) => [{ message: String(error) }],
    onOver: (stream) => over.push(stream),
    resumeForMs: 10_000,
  };
  const plan = planOf('a');
  const stream = new SharedStream(services, { key: 'k', plan, variables: {} });
  const seen: string[] = [];
  const member = new Member({
    subscriber: {
      next: ({ cursor }) => seen.push(cursor ?? '') > 0,
      complete: () => seen.push('complete'),
      error: ([error]) => seen.push(error?.message ?? ''),
    },
    context: { forwarded: {} },
    since: undefined,
    limits: { payloads: 10_000, bytes: 10_000_000 },
    events: { sent() {}, conflated() {}, lagged: () => [], ended: (one) => stream.leave(one) },
  });
  stream.join(member);
  return { opened, over, seen, member, stream };
}

const frame = (payload: object) => new EventFrame(Buffer.from(JSON.stringify(payload)));
const mark = (position: number) =>
  frame({ data: null, extensions: { stream: { mark: { position: String(position), cursor: `c${position}` } } } });
const event = (position: number) =>
  frame({ data: { a: position }, extensions: { stream: { position: String(position), cursor: `c${position}` } } });

/** Lets the client catch up with nothing, up to a position. */
async function beginAt(opened: readonly Opened[], position: number): Promise<void> {
  opened[0]?.sink.next(mark(position));
  await eventually(() => expect(opened).toHaveLength(2));
  opened[1]?.sink.next(mark(position));
  opened[1]?.sink.end();
}

// A queue without a bound in front of a slow join has taken the memory of gateways.
test('when more events come than may wait to be joined, the stream is left and taken up behind the last that waits', async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const { opened, over, seen } = startStream(async (_stream, { data }) => {
    await released;
    return Buffer.from(JSON.stringify({ data }));
  });
  await beginAt(opened, 0);
  const [live] = opened;
  let position = 0;
  while (live?.hasLeft === false) live.sink.next(event((position += 1)));
  // 32 are joined, 1,000 wait, one more was too many.
  expect(position).toBe(1_033);
  release();
  await eventually(() => expect(opened).toHaveLength(3));
  expect(opened[2]).toMatchObject({ phase: 'live', since: 'c1032' });
  opened[2]?.sink.next(mark(1_032));
  for (let next = 1_033; next <= 1_040; next += 1) opened[2]?.sink.next(event(next));
  await eventually(() => expect(seen).toHaveLength(1_040));
  expect(seen).toEqual(Array.from({ length: 1_040 }, (_unused, index) => `c${index + 1}`));
  expect(over).toEqual([]);
});

// Streams at subgraphs were left open by gateways whose last client had gone while they were being opened.
test('a client that leaves while the stream is being opened leaves nothing behind', async () => {
  const { opened, over, member, stream } = startStream(() => Buffer.from('{"data":null}'));
  stream.leave(member);
  expect(opened.map(({ hasLeft }) => hasLeft)).toEqual([true]);
  expect(over).toEqual([stream]);
});

test('a stream that ends before it began completes its clients', async () => {
  const { opened, over, seen, stream } = startStream(() => Buffer.from('{"data":null}'));
  opened[0]?.sink.end();
  await eventually(() => expect(opened).toHaveLength(2));
  opened[1]?.sink.next(mark(0));
  opened[1]?.sink.end();
  await eventually(() => expect(seen).toEqual(['complete']));
  expect(over).toEqual([stream]);
});

test('a join that fails for good ends the clients with its error, and the stream', async () => {
  const { opened, over, seen, stream } = startStream(async () => {
    throw new Error('a defect');
  });
  await beginAt(opened, 0);
  opened[0]?.sink.next(event(1));
  await eventually(() => expect(seen).toEqual(['Error: a defect']));
  expect(opened[0]?.hasLeft).toBe(true);
  expect(over).toEqual([stream]);
});

test('a plan of a new supergraph that asks the subgraph for the same changes nothing for it', async () => {
  const { opened, seen, stream } = startStream((_stream, { data }) => Buffer.from(JSON.stringify({ data })));
  await beginAt(opened, 0);
  stream.adopt(planOf('a'));
  opened[0]?.sink.next(event(1));
  await eventually(() => expect(seen).toEqual(['c1']));
  expect(opened.map(({ phase }) => phase)).toEqual(['live', 'catchUp']);
});

test('a plan that asks for something else is taken up behind the last event, with neither gap nor repeat', async () => {
  const { opened, over, seen, stream } = startStream((_stream, { data }) => Buffer.from(JSON.stringify({ data })));
  await beginAt(opened, 0);
  opened[0]?.sink.next(event(1));
  stream.adopt(planOf('b'));
  expect(opened[0]?.hasLeft).toBe(true);
  expect(opened[2]).toMatchObject({ phase: 'live', query: 'b', since: 'c1' });
  opened[2]?.sink.next(mark(1));
  opened[2]?.sink.next(event(2));
  await eventually(() => expect(seen).toEqual(['c1', 'c2']));
  expect(over).toEqual([]);
});

test("a stream that can't be taken up ends with an interruption when its plan becomes another", async () => {
  const { opened, over, seen, stream } = startStream((_stream, { data }) => Buffer.from(JSON.stringify({ data })));
  await beginAt(opened, 0);
  stream.adopt(planOf('b', { resumption: undefined }));
  expect(seen).toEqual([expect.stringContaining('The stream was interrupted')]);
  expect(opened[0]?.hasLeft).toBe(true);
  expect(over).toEqual([stream]);
});
