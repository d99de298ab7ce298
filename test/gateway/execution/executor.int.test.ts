/** What the executor gives for an operation, from subgraphs on sockets. */
import { parse } from 'graphql';
import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createExecutor, type Executor } from '../../../gateway/execution/executor.js';
import { dataIn } from '../../../gateway/execution/response/answer.js';
import { createGatewayMetrics } from '../../../gateway/gateway-metrics.js';
import { createSubgraphs } from '../../../gateway/execution/subgraphs/subgraphs.js';
import { buildSupergraph } from '../../../gateway/supergraph/supergraph.js';
import { graphqlErrorFormatter } from '../../../platform/graphql/errors.js';
import { silentLog } from '../../world/database.js';
import { createTestIssuer, type TestIssuer } from '../../world/identity.js';
import { startSubgraphs, type TestSubgraphs } from '../subgraphs.js';

let issuer: TestIssuer;
let subgraphs: TestSubgraphs;
let executor: Executor;

beforeAll(async () => {
  issuer = await createTestIssuer();
  subgraphs = await startSubgraphs(issuer.verifyToken);
  const supergraph = buildSupergraph(
    readFileSync(new URL('../../../gateway/supergraph.graphql', import.meta.url), 'utf8'),
  );
  const urls = {
    device: () => subgraphs.device.url(),
    actions: () => subgraphs.actions.url(),
    query: () => subgraphs.query.url(),
  };
  executor = createExecutor({
    supergraph: () => supergraph,
    subgraphs: createSubgraphs({ urls, metrics: createGatewayMetrics(new Registry()), log: silentLog }),
    formatError: graphqlErrorFormatter(silentLog),
  });
});
afterAll(() => subgraphs.stop());
beforeEach(() => {
  subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler' }]);
  subgraphs.failures.clear();
});

async function execute(query: string, variables: Readonly<Record<string, unknown>> = {}) {
  const context = { forwarded: { authorization: `Bearer ${await issuer.token('acme')}` } };
  const { body, errors } = await executor.execute(executor.prepare(parse(query), undefined), { variables, context });
  return { data: body === undefined ? undefined : (JSON.parse(dataIn(body)) as unknown), errors };
}

test('fields of several subgraphs come as one answer', async () => {
  const query = 'query Q($id: ID!) { device(id: $id) { name presence { online } commands { edges { node { id } } } } }';
  expect(await execute(query, { id: 'boiler' })).toEqual({
    data: {
      device: {
        name: 'Boiler',
        presence: { online: true },
        commands: { edges: [{ node: { id: 'command-of-boiler' } }] },
      },
    },
    errors: [],
  });
});

test('variables that do not fit are a request error, and nothing is executed', async () => {
  const before = subgraphs.seen.length;
  const { data, errors } = await execute('query Q($id: ID!) { device(id: $id) { name } }', {});
  expect(data).toBeUndefined();
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  expect(errors[0]?.message).toContain('$id');
  expect(subgraphs.seen).toHaveLength(before);
});

test('the error of a subgraph has its code and its place', async () => {
  subgraphs.failures.set('boiler', new Error('secret detail'));
  const { data, errors } = await execute('{ device(id: "boiler") { name } }');
  expect(data).toEqual({ device: null });
  expect(errors).toMatchObject([{ path: ['device'], extensions: { code: 'INTERNAL_SERVER_ERROR' } }]);
  expect(JSON.stringify(errors)).not.toContain('secret detail');
});
