/** A subgraph in this process answers what it would over HTTP, and asks for the same authority. */
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createSubgraphs } from '../../../gateway/execution/subgraphs/subgraphs.js';
import { createGatewayMetrics } from '../../../gateway/gateway-metrics.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { createLocalExecution } from '../../../platform/graphql/local-execution.js';
import { createSubgraphSchema } from '../../../platform/graphql/subgraph.js';
import { silentLog } from '../../world/database.js';
import { createTestIssuer } from '../../world/identity.js';

const typeDefs = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key", "@requiresScopes"])
  scalar federation__Scope
  type Query { name: String @requiresScopes(scopes: [["device:read"]]) }
  directive @referenceScopes(scopes: [[String!]!]!) on OBJECT
  type Device @key(fields: "id") @referenceScopes(scopes: [["device:read"]]) { id: ID! name: String hangs: String }`;
const issuer = await createTestIssuer();
const schema = createSubgraphSchema(typeDefs, {
  Query: { name: (_root: unknown, _args: unknown, { identity }: { identity: { tenant: string } }) => identity.tenant },
  Device: {
    __resolveReference: ({ id }: { id: string }) => ({ id }),
    name({ id }: { id: string }) {
      if (id === 'secret') throw new Error('secret detail');
      if (id === 'gone') throw new FleetgraphError('NOT_FOUND', 'There is no such device.');
      return `name of ${id}`;
    },
    hangs: () => new Promise(() => undefined),
  },
});
const execute = createLocalExecution({
  schema,
  verifyToken: issuer.verifyToken,
  log: silentLog,
  context: (base) => base,
});
const subgraph = createSubgraphs({
  urls: {},
  local: { device: execute },
  log: silentLog,
  timeoutMs: 200,
  metrics: createGatewayMetrics(new Registry()),
}).of('device');

function ask(query: string, authorization: string | undefined, ids?: readonly string[]) {
  return subgraph.fetch({
    operation: { query, operationName: undefined, isMutation: false, bodyStart: '' },
    variables: '',
    representations: ids?.map((id) => JSON.stringify({ __typename: 'Device', id })),
    context: { forwarded: authorization === undefined ? {} : { authorization } },
    signal: undefined,
  });
}
const entities = (field: string) =>
  `query ($representations: [_Any!]!) { _entities(representations: $representations) { ... on Device { ${field} } } }`;
const bearer = async (...scopes: Parameters<typeof issuer.token>[1] & object) =>
  `Bearer ${await issuer.token('acme', scopes)}`;

test('the tenant is that of the token', async () => {
  expect((await ask('{ name }', await bearer('device:read'))).data).toEqual({ name: 'acme' });
});

test('without a good token nothing is executed; without the scope not the field', async () => {
  for (const authorization of [undefined, 'Bearer forged'])
    expect(await ask('{ name }', authorization)).toMatchObject({
      errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
  expect(await ask('{ name }', await bearer('telemetry:read'))).toMatchObject({
    errors: [{ path: ['name'], extensions: { code: 'FORBIDDEN' } }],
  });
});

test('errors have their place and their code, and tell nothing of the inside', async () => {
  const { data, errors } = await ask(entities('name'), await bearer('device:read'), ['a', 'gone', 'secret']);
  expect(data).toEqual({ _entities: [{ name: 'name of a' }, { name: null }, { name: null }] });
  expect(errors).toMatchObject([
    { path: ['_entities', 1, 'name'], extensions: { code: 'NOT_FOUND' } },
    { path: ['_entities', 2, 'name'], extensions: { code: 'INTERNAL_SERVER_ERROR' } },
  ]);
  expect(JSON.stringify(errors)).not.toContain('secret detail');
});

test('one that never answers is given up, as over HTTP', async () => {
  await expect(ask(entities('hangs'), await bearer('device:read'), ['a'])).rejects.toMatchObject({
    extensions: { code: 'UNAVAILABLE' },
  });
});
