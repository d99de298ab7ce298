/** How long an answer may be kept, from what the subgraphs say of theirs. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startScriptedGateway, type ScriptedGateway } from '../execution/scripted-subgraphs.js';

let gateway: ScriptedGateway;
let hints: { catalog?: string; stock?: string };

beforeAll(async () => {
  gateway = await startScriptedGateway({
    catalog: `type Query { product: Product } type Mutation { rename: Product } type Product @key(fields: "id") { id: ID! name: String }`,
    stock: `type Product @key(fields: "id") { id: ID! count: Int }`,
  });
  const product = { __typename: 'Product', id: '1', name: 'Chair' };
  gateway.scripts.set('catalog', (_sent, response) => {
    if (hints.catalog !== undefined) response.setHeader('cache-control', hints.catalog);
    return { data: { product, rename: product }, cacheControl: 'max-age=9999' };
  });
  gateway.scripts.set('stock', (_sent, response) => {
    if (hints.stock !== undefined) response.setHeader('cache-control', hints.stock);
    return { data: { _entities: [{ count: 3 }] } };
  });
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => void (hints = {}));

async function headersOf(query: string, extensions?: object): Promise<Headers> {
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, extensions }),
  });
  await response.arrayBuffer();
  return response.headers;
}
const policyOf = async (query = '{ product { name count } }', extensions?: object): Promise<string | null> =>
  (await headersOf(query, extensions)).get('cache-control');

test.each([
  ['the shorter of two counts', 'max-age=60, public', 'public, max-age=10', 'max-age=10, public'],
  ['one that is private makes all private', 'max-age=60', 'max-age=90, private', 'max-age=60, private'],
  ['one that may not be kept makes all so', 'max-age=60', 'no-store', 'no-store'],
  ['and one that must be asked for again', 'max-age=60', 'no-cache, max-age=60', 'no-store'],
  ['and one that says nothing', 'max-age=60', undefined, 'no-store'],
  ['and one that says what is no time', 'max-age=60', 'max-age=soon', 'no-store'],
  ['and one of no seconds', 'max-age=0', 'max-age=60', 'no-store'],
])('%s', async (_what, catalog, stock, expected) => {
  hints = { catalog, ...(stock === undefined ? {} : { stock }) };
  expect(await policyOf()).toBe(expected);
});

test('only what was asked for counts, and not what the body says', async () => {
  hints = { catalog: 'max-age=60' };
  const headers = await headersOf('{ product { name } }');
  expect(headers.get('cache-control')).toBe('max-age=60, public');
  expect(headers.get('vary')).toContain('accept, authorization');
  hints = {};
  expect(await policyOf('{ product { name } }')).toBe('no-store');
});

test('mutations, answers with an error, with what they cost, and those of no subgraph are not kept', async () => {
  hints = { catalog: 'max-age=60', stock: 'max-age=60' };
  expect(await policyOf('mutation { rename { name } }')).toBe('no-store');
  expect(await policyOf('{ product { name } }', { cost: true })).toBe('no-store');
  expect(await policyOf('{ __typename }')).toBe('no-store');
  gateway.scripts.set('stock', (_sent, response) => {
    response.setHeader('cache-control', 'max-age=60');
    return { data: { _entities: [null] }, errors: [{ message: 'Gone.', extensions: { code: 'NOT_FOUND' } }] };
  });
  expect(await policyOf()).toBe('no-store');
});

test('with room for them, answers that are public in every part are kept for all who may see the same, as long as they may be', async () => {
  await using world = await startScriptedGateway(
    {
      catalog: `type Query { product(name: String): Product }
        type Product { name: String price: Int @federation__requiresScopes(scopes: [["telemetry:read"]]) }`,
    },
    { GATEWAY_RESPONSE_CACHE_BYTES: '100000' },
    async (token) => ({
      tenant: 'acme',
      subject: token,
      expiresAtMs: Date.now() + 60_000,
      scopes: new Set(token === 'reader' ? (['telemetry:read'] as const) : []),
    }),
  );
  let policy = 'public, max-age=2';
  world.scripts.set('catalog', (_sent, response) => {
    response.setHeader('cache-control', policy);
    return { data: { product: { name: 'Chair', price: 5 } } };
  });
  const ask = async (caller: string, body: object, headers: Readonly<Record<string, string>> = {}) => {
    world.requests.length = 0;
    const response = await fetch(world.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${caller}`, ...headers },
      body: JSON.stringify(body),
    });
    return {
      policy: response.headers.get('cache-control'),
      answer: await response.json(),
      asked: world.requests.length,
    };
  };
  const name = { query: '{ product { name } }' };
  const first = await ask('ann', name);
  expect(first).toMatchObject({ asked: 1, policy: 'max-age=2, public' });
  const second = await ask('bob', name);
  expect(second).toEqual({ ...first, asked: 0, policy: 'max-age=1, public' });
  expect(await ask('bob', name, { 'x-fleetgraph-consistency': 'token' })).toMatchObject({ asked: 1 });
  // Others' variables, and what others may not see, are others' answers.
  const named = { query: 'query ($name: String) { product(name: $name) { name } }' };
  for (const wanted of ['Chair', 'Table'])
    expect(await ask('ann', { ...named, variables: { name: wanted } })).toMatchObject({ asked: 1 });
  const price = { query: '{ product { name price } }' };
  expect(await ask('reader', price)).toMatchObject({ asked: 1, answer: { data: { product: { price: 5 } } } });
  expect(await ask('reader', price)).toMatchObject({ asked: 0, answer: { data: { product: { price: 5 } } } });
  expect(await ask('ann', price)).toMatchObject({ answer: { data: { product: { price: null } } } });
  await eventually(async () => expect((await ask('ann', name)).asked).toBe(1));

  for (policy of ['max-age=60', 'private, max-age=60', 'public, max-age=60, no-store']) {
    const other = { query: `{ product { is_${policy.length}: name } }` };
    expect(await ask('ann', other), policy).toMatchObject({ asked: 1 });
    expect(await ask('ann', other), policy).toMatchObject({ asked: 1 });
  }
});
