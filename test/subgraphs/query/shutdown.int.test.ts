import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually, within } from '../../world/eventually.js';
import { startReadSide, type ReadSide } from './read-side.js';

let side: ReadSide;
beforeAll(async () => {
  side = await startReadSide();
});
afterAll(() => side[Symbol.asyncDispose]());

test('a shutdown closes sockets with 1001, also one that does not answer, and ends every subscription', async () => {
  const subscriber = await side.subscribe('acme', 'subscription { fleet { cursor } }');
  const events = await side.subscribe('acme', 'subscription { events { cursor } }');
  await eventually(() => expect(subscriber.received).toHaveLength(1));
  const silent = new WebSocket(side.url.replace('http', 'ws'), 'graphql-transport-ws');
  await new Promise((resolve) => silent.once('open', resolve));
  // It reads nothing any more, so it doesn't see the close frame either.
  silent.pause();
  await within(side.query.stop(), 10_000, 'the shutdown');
  await eventually(() => expect([subscriber.ended(), events.ended()]).toEqual([true, true]));
  expect(subscriber.errors).toMatchObject([{ code: 1001 }]);
  const gauge = await side.metrics.getSingleMetric('fleetgraph_query_subscriptions')?.get();
  expect(gauge?.values.map(({ value }) => value)).toEqual([0, 0]);
  silent.terminate();
  await expect(side.query.ready()).rejects.toThrow('not started');
  // Stopping again is harmless, and so is a client that comes too late.
  await side.query.stop();
  const late = createClient({ url: side.url.replace('http', 'ws'), webSocketImpl: WebSocket, retryAttempts: 0 });
  await expect(
    new Promise((resolve, reject) => {
      late.subscribe(
        { query: 'subscription { fleet { cursor } }' },
        { next: resolve, error: reject, complete: () => resolve(0) },
      );
    }),
  ).rejects.toBeDefined();
});
