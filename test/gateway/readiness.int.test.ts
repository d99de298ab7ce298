/** When a gateway says that it is ready: once each subgraph has answered, and from then on whatever becomes of them. */
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Payload } from './protocol-client.js';
import { eventually, within } from '../world/eventually.js';
import { startGateway, type GatewayWorld } from './gateway-world.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway({ absent: ['device'] });
});
afterAll(() => world[Symbol.asyncDispose]());

const readiness = async (): Promise<{ status: number; reason: string | undefined }> => {
  const response = await fetch(`${world.url}/readyz`);
  return { status: response.status, reason: ((await response.json()) as { reason?: string }).reason };
};

/** Something else listens where the device subgraph belongs. */
async function instead(answer: (end: (body: string) => void) => void): Promise<AsyncDisposable> {
  const server = createServer((_request, response) =>
    answer((body) => response.setHeader('content-type', 'text/html').end(body)),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(Number(new URL(world.subgraphs.device.url()).port), '127.0.0.1', resolve);
  });
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const fleet = (): Promise<Payload> => world.ask('{ fleet { online } }');

test('a gateway without a subgraph names it and why; what it has, it serves', async () => {
  const { status, reason } = await readiness();
  expect(status).toBe(503);
  expect(reason).toBe(
    `waiting for the first answer of the subgraph "device" at ${world.subgraphs.device.url()} (ECONNREFUSED)`,
  );
  expect((await fetch(`${world.url}/healthz`)).status).toBe(200);
  expect(await fleet()).toEqual({ data: { fleet: { online: 1 } } });
});

test('neither a server that hangs nor one that answers HTML is the subgraph', async () => {
  {
    await using _hanging = await instead(() => undefined);
    await eventually(async () => expect((await readiness()).reason).toContain('no answer within 2000 ms'));
  }
  await using _other = await instead((end) => end('<h1>It works!</h1>'));
  await eventually(async () => expect((await readiness()).reason).toContain('it answers 200 with text/html'));
  expect((await readiness()).status).toBe(503);
});

test('it is ready as soon as the subgraph has come, without a token of anybody', async () => {
  await world.subgraphs.device.start();
  await eventually(async () => expect(await readiness()).toEqual({ status: 200, reason: undefined }));
  const probes = world.subgraphs.seen.filter(({ subgraph, query }) => subgraph === 'device' && query !== '');
  expect(probes).toHaveLength(1);
  expect(probes[0]?.headers['authorization']).toBeUndefined();
});

test('it stays ready when subgraphs die, and gives what is left', async () => {
  await world.subgraphs.device.stop();
  expect((await world.ask('{ devices { totalCount } }')).errors?.[0]?.extensions?.['code']).toBe('UNAVAILABLE');
  expect(await fleet()).toEqual({ data: { fleet: { online: 1 } } });
  expect(await readiness()).toEqual({ status: 200, reason: undefined });
  await world.subgraphs.query.stop();
  expect((await fleet()).errors?.[0]?.extensions?.['code']).toBe('UNAVAILABLE');
  expect(await readiness()).toEqual({ status: 200, reason: undefined });
});

test('a gateway whose subgraphs are there is ready when it has started', async () => {
  await using other = await startGateway();
  await expect(other.gateway.ready()).resolves.toBeUndefined();
});

test('a gateway that still waits stops at once, and starts again to wait anew', async () => {
  await using other = await startGateway({ absent: ['actions'] });
  await expect(other.gateway.ready()).rejects.toThrow('"actions"');
  await within(other.gateway.stop(), 1_500, 'the stop');
  await other.subgraphs.actions.start();
  await other.gateway.start();
  await expect(other.gateway.ready()).resolves.toBeUndefined();
});
