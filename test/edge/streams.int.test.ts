/** Answers that stream, through the real Traefik: what is said arrives when it is said. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, within } from '../world/eventually.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startEdge, type EdgeWorld } from './edge-world.js';

const accepts = { sse: 'text/event-stream', multipart: 'multipart/mixed;subscriptionSpec="1.0", application/json' };
const query = 'subscription { deviceState(deviceId: "boiler") { cursor } }';

describe.skipIf(!hasTraefik())('streams over HTTP', () => {
  let edge: EdgeWorld;
  beforeAll(async () => {
    edge = await startEdge();
  });
  afterAll(() => edge[Symbol.asyncDispose]());

  const ask = (headers: Readonly<Record<string, string>>, body: object, signal?: AbortSignal): Promise<Response> =>
    fetch(`${edge.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    });

  test.each(Object.entries(accepts))(
    'an event of a subscription over %s arrives while the answer goes on',
    async (_name, accept) => {
      const { issuer, subgraphs } = edge.gateway;
      const leaving = new AbortController();
      const authorization = `Bearer ${await issuer.token('acme')}`;
      const response = await ask({ accept, authorization }, { query }, leaving.signal);
      expect(response.status).toBe(200);
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      const read = async (wanted: string): Promise<void> => {
        while (!text.includes(wanted))
          text += (await within(reader?.read() ?? Promise.reject(new Error('no body')), 5_000, wanted))?.value ?? '';
      };
      await eventually(() => expect(subgraphs.live.open).toHaveLength(1));
      for (const cursor of ['first', 'second']) {
        subgraphs.live.push({ cursor, snapshot: false, device: { id: 'boiler' } });
        await read(`{"data":{"deviceState":{"cursor":"${cursor}"}}}`);
      }
      leaving.abort();
      await eventually(() => expect(subgraphs.live.open).toEqual([]));
    },
  );

  test('nobody gets one without a token, and none for a body that is too long', async () => {
    for (const accept of Object.values(accepts)) {
      expect((await ask({ accept }, { query })).status).toBe(401);
      const authorization = `Bearer ${await edge.gateway.issuer.token('acme')}`;
      // The gateway refuses it before it has all of it and closes the connection: that is all that may be seen from here.
      expect([413, 502]).toContain((await ask({ accept, authorization }, { query: ' '.repeat(5_000_000) })).status);
    }
    expect(edge.gateway.subgraphs.live.open).toEqual([]);
  });
});
