/** Subscriptions through the edge for longer than any time limit in its configuration. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { openSocket } from '../gateway/protocol-client.js';
import { startEdge, type EdgeWorld } from './edge-world.js';

const watch = 'subscription { deviceState(deviceId: "boiler") { cursor } }';
const update = (cursor: string) => ({ cursor, snapshot: false, device: { id: 'boiler' }, presence: { online: true } });

describe.skipIf(!hasTraefik())('a minute', () => {
  let edge: EdgeWorld;
  beforeAll(async () => {
    edge = await startEdge();
  });
  afterAll(() => edge?.[Symbol.asyncDispose]());

  const subscribe = async (lifetimeSeconds: number) => {
    const authorization = `Bearer ${await edge.gateway.issuer.token('acme', undefined, lifetimeSeconds)}`;
    const client = await openSocket(`${edge.url}/graphql`, { authorization });
    client.subscribe('s', watch);
    return client;
  };

  test('a subscription lives on as long as its token; one whose token expires in the middle is closed with 4403', async () => {
    const { live } = edge.gateway.subgraphs;
    const openedAt = Date.now();
    const long = await subscribe(600);
    const short = await subscribe(30);
    await eventually(async () => expect(await edge.gateway.metric('fleetgraph_gateway_subscriptions')).toBe(2));
    await eventually(() => expect(live.open.length).toBeGreaterThan(0));
    let sent = 0;
    const clock = setInterval(() => live.push(update(String(sent++))), 1_000);
    try {
      const { code } = await short.closed;
      expect(code).toBe(4403);
      expect(Date.now() - openedAt).toBeGreaterThan(28_000);
      expect(Date.now() - openedAt).toBeLessThan(40_000);
      await eventually(() => expect(long.payloads('s').length).toBeGreaterThan(62), 90_000);
    } finally {
      clearInterval(clock);
    }
    expect(Date.now() - openedAt).toBeGreaterThan(60_000);
    expect(long.socket.readyState).toBe(long.socket.OPEN);
    await eventually(() => expect(long.payloads('s')).toHaveLength(sent));
    expect(long.payloads('s').map(({ data }) => data)).toEqual(
      Array.from({ length: sent }, (_, cursor) => ({ deviceState: { cursor: String(cursor) } })),
    );
    // A client that goes away without a word is noticed behind the edge, too.
    long.socket.terminate();
    await eventually(() => expect(live.open).toEqual([]));
  }, 120_000);
});
