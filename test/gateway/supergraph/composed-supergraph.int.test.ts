/** A gateway in front of subgraphs that it asks for their schemas. */
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGatewayRole } from '../../../gateway/gateway.js';
import { composedSupergraph, type RunningSubgraph } from '../../../gateway/supergraph/composed-supergraph.js';
import { readConfig } from '../../../platform/config/config.js';
import type { ServiceRole } from '../../../platform/lifecycle/role.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { startSocketSubgraphs, type SocketSubgraphs } from '../command/subgraphs-on-sockets.js';

let subgraphs: SocketSubgraphs;
let role: ServiceRole;

const gatewayOf = (named: readonly RunningSubgraph[], patienceMs = 10_000): ServiceRole =>
  createGatewayRole({
    config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0' }),
    log: silentLog,
    metrics: new Registry(),
    supergraph: composedSupergraph(named, { log: silentLog, intervalMs: 50, patienceMs }),
  });
const running = (): readonly RunningSubgraph[] => Object.entries(subgraphs.urls).map(([name, url]) => ({ name, url }));

async function ask(query: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${role.port()}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  return response.json();
}

beforeAll(async () => {
  subgraphs = await startSocketSubgraphs();
  role = gatewayOf(running());
  await role.start();
});
afterAll(async () => {
  await role.stop();
  await subgraphs[Symbol.asyncDispose]();
});

test('they are composed to one graph', async () => {
  expect(await ask('{ station { name wind } }')).toEqual({ data: { station: { name: 'Harbour', wind: 12 } } });
});

test('what one of them has anew is in the graph soon', async () => {
  expect(JSON.stringify(await ask('{ station { rain } }'))).toContain('Cannot query field \\"rain\\"');
  subgraphs.rain();
  await eventually(async () => expect(await ask('{ station { rain } }')).toEqual({ data: { station: { rain: 3 } } }));
});

test('without one of them there is no start, and the reason is said', async () => {
  const alone = gatewayOf([...running(), { name: 'gone', url: 'http://127.0.0.1:9/graphql' }], 0);
  await expect(alone.start()).rejects.toThrow(/No supergraph can be made of the subgraphs: .*gone/);
  await alone.stop();
});
