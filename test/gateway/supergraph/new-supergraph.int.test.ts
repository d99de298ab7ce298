/** A gateway whose supergraph changes while it works: what clients use is ready before, and subgraphs are found where they are. */
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGatewayRole } from '../../../gateway/gateway.js';
import type { SupergraphSource } from '../../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../../../platform/config/config.js';
import type { ServiceRole } from '../../../platform/lifecycle/role.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { startSocketSubgraphs, type SocketSubgraphs } from '../command/subgraphs-on-sockets.js';
import { openSocket } from '../protocol-client.js';

let [old, moved]: SocketSubgraphs[] = [];
let change: (sdl: string) => void;
let gateway: ServiceRole;
const metrics = new Registry();

beforeAll(async () => {
  [old, moved] = await Promise.all([startSocketSubgraphs(), startSocketSubgraphs()]);
  old.rain();
  moved.rain();
  const first = old.supergraph();
  const supergraph: SupergraphSource = {
    read: async () => first,
    follow(changed) {
      change = changed;
      return () => undefined;
    },
  };
  const config = readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0', EXPLORER: 'false' });
  gateway = createGatewayRole({ config, log: silentLog, metrics, supergraph });
  await gateway.start();
});
afterAll(async () => {
  await gateway.stop();
  await moved?.[Symbol.asyncDispose]();
});

async function ask(query: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${gateway.port()}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  return response.json();
}

async function count(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
  const { values } = (await metrics.getSingleMetric(name)?.get()) ?? { values: [] };
  return values
    .filter((value) =>
      Object.entries(labels).every(([label, text]) => (value.labels as object)[label as never] === text),
    )
    .reduce((sum, { value }) => sum + value, 0);
}
const plansMade = () => count('fleetgraph_gateway_cache_lookups_total', { cache: 'plans', outcome: 'miss' });
const operationsMissed = () =>
  count('fleetgraph_gateway_cache_lookups_total', { cache: 'operations', outcome: 'miss' });

test('what clients use is planned before the switch: nobody waits for it after', async () => {
  for (let index = 0; index < 2; index += 1) await ask('{ station { wind name } }');
  expect(await count('fleetgraph_gateway_cache_lookups_total', { cache: 'operations', outcome: 'hit' })).toBe(1);
  change(old?.supergraph('more') ?? '');
  await eventually(async () => expect(await ask('{ station { rain } }')).toEqual({ data: { station: { rain: 3 } } }));
  const before = [await plansMade(), await operationsMissed()];
  expect(await ask('{ station { wind name } }')).toEqual({ data: { station: { wind: 12, name: 'Harbour' } } });
  expect([await plansMade(), await operationsMissed()]).toEqual(before);
});

test('subgraphs that have moved are asked where they are now, also for what was planned before and for subscriptions', async () => {
  const sdl = moved?.supergraph() ?? '';
  change(sdl);
  await eventually(async () => {
    await ask('{ station { wind name } }');
    expect(moved?.headers).toHaveProperty('content-type');
  });
  await old?.[Symbol.asyncDispose]();
  expect(await ask('{ station { wind name } }')).toEqual({ data: { station: { wind: 12, name: 'Harbour' } } });
  const client = await openSocket(`http://127.0.0.1:${gateway.port()}/graphql`, {});
  client.subscribe('1', 'subscription { gusts { wind name } }');
  expect(await client.payload('1', 1)).toEqual({ data: { gusts: { wind: 30, name: 'Harbour' } } });
  client.socket.terminate();
});
