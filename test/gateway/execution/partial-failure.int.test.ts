/**
 * What a client gets when one of the subgraphs fails: everything that the others gave, null where something is missing, null
 * above it where nothing may be null, and one error for each thing that went wrong, in its place and without the subgraph's internals.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startScriptedGateway, type Script, type ScriptedGateway } from './scripted-subgraphs.js';

const subgraphs = {
  catalog: `
    type Query { product: Product products: [Product] all: [Product!]! }
    type Mutation { rename: Product }
    type Product @key(fields: "id") { id: ID! name: String! }`,
  stock: `
    type Mutation { refill: Int }
    type Product @key(fields: "id") { id: ID! count: Int reserved: Int! depots: [Depot] }
    type Depot { name: String! full: Boolean }`,
};
let gateway: ScriptedGateway;

beforeAll(async () => {
  gateway = await startScriptedGateway(subgraphs, { GATEWAY_SUBGRAPH_TIMEOUT_MS: '10000,stock=200' });
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => {
  gateway.requests.length = 0;
  const product = (id: string) => ({ __typename: 'Product', id, name: `Product ${id}` });
  gateway.scripts.set('catalog', ({ query }) => ({
    data: {
      ...(query.includes('product{') ? { product: product('1') } : {}),
      ...(query.includes('products{') ? { products: ['1', '2', '1'].map(product) } : {}),
      ...(query.includes('all{') ? { all: ['1', '2'].map(product) } : {}),
      ...(query.includes('rename') ? { rename: product('1') } : {}),
    },
  }));
});

const named = (id: string, rest: object) => ({ name: `Product ${id}`, ...rest });
const notThere = {
  message: 'The subgraph "stock" does not answer. The same request may be retried.',
  extensions: { code: 'UNAVAILABLE' },
};
const masked = {
  message: 'Something went wrong inside the subgraph "stock". The log has the cause.',
  extensions: { code: 'INTERNAL_SERVER_ERROR' },
};
const misfit = {
  message: 'A subgraph gave a value that does not fit the schema. The log has the cause.',
  extensions: { code: 'INTERNAL_SERVER_ERROR' },
};
/** One error in each of these places. */
const at = (error: object, ...paths: (string | number)[][]) => paths.map((path) => ({ ...error, path }));
const entity = { count: 3, reserved: 1, depots: [] };
const entities =
  (...list: unknown[]): Script =>
  () => ({ data: { _entities: list } });
const raw =
  (text: string, status = 200, type = 'application/json'): Script =>
  (_sent, response) =>
    void response.writeHead(status, { 'content-type': type }).end(text);

describe.each<[string, Script]>([
  ['refuses the connection', (_sent, _response, { socket }) => void socket.destroy()],
  ['does not answer in time', () => undefined],
  ['begins an answer and does not end it', (_sent, response) => void response.write('{"data":')],
  ['answers HTML', raw('<h1>secret</h1>', 200, 'text/html')],
  ['answers with the page of a proxy', raw('<h1>secret</h1>', 502, 'text/html')],
  ['sends elsewhere', (_sent, response) => void response.writeHead(302, { location: '/catalog' }).end()],
  ['answers JSON that ends too early', raw('{"data":{"_entities":[{"count":3,')],
  ['answers JSON that is no response', raw('["secret"]')],
  ['answers null without a reason', raw('{"data":null}')],
  [
    'answers with half of the entities',
    ({ variables: { representations } }) => ({
      data: { _entities: (representations as unknown[]).slice(1).map(() => entity) },
    }),
  ],
  ['answers with more entities than were asked for', entities(entity, entity, entity)],
  ['answers with no list of entities', raw('{"data":{"_entities":{"0":"secret"}}}')],
  ['answers data without entities', raw('{"data":{"secret":1}}')],
])('a subgraph that %s', (_what, script) => {
  beforeEach(() => gateway.scripts.set('stock', script));

  test('leaves the rest of the answer, and an error in each place of each of its fields', async () => {
    expect(await gateway.ask('{ products { name count parts: depots { name } } }')).toEqual({
      data: { products: ['1', '2', '1'].map((id) => named(id, { count: null, parts: null })) },
      errors: at(
        notThere,
        ...[0, 1, 2].flatMap((index) => ['count', 'parts'].map((field) => ['products', index, field])),
      ),
    });
  });

  test('takes away what can not be without it, and no more', async () => {
    expect(await gateway.ask('{ product { name reserved } products { name } }')).toEqual({
      data: { product: null, products: ['1', '2', '1'].map((id) => named(id, {})) },
      errors: at(notThere, ['product', 'reserved']),
    });
  });
});

test('an answer of another content type that is a GraphQL response all the same is taken', async () => {
  gateway.scripts.set('stock', raw('{"data":{"_entities":[{"count":3}]}}', 200, 'text/plain'));
  expect(await gateway.ask('{ product { count } }')).toEqual({ data: { product: { count: 3 } } });
});

test('null goes up to the root where nothing on the way may be null', async () => {
  gateway.scripts.set('stock', raw('nothing', 500));
  expect(await gateway.ask('{ all { name reserved } }')).toEqual({
    data: null,
    errors: at(notThere, ['all', 0, 'reserved'], ['all', 1, 'reserved']),
  });
});

test('errors with a path are in each place where the entity is, those of our codes with their message', async () => {
  gateway.scripts.set('stock', () => ({
    data: {
      _entities: [
        { count: null, where: [{ name: 'North' }, null] },
        { count: 2, where: [] },
      ],
    },
    errors: [
      {
        message: 'No count.',
        path: ['_entities', 0, 'count'],
        extensions: { code: 'NOT_FOUND', stacktrace: ['secret'] },
      },
      { message: 'secret', path: ['_entities', 0, 'where', 1, 'name'] },
    ],
  }));
  const found = { message: 'No count.', extensions: { code: 'NOT_FOUND' } };
  const first = named('1', { count: null, where: [{ name: 'North' }, null] });
  const answer = await gateway.ask('{ products { name count where: depots { name } } }');
  expect(answer).toEqual({
    data: { products: [first, named('2', { count: 2, where: [] }), first] },
    errors: [
      { ...found, path: ['products', 0, 'count'] },
      { ...found, path: ['products', 2, 'count'] },
      { ...masked, path: ['products', 0, 'where', 1, 'name'] },
      { ...masked, path: ['products', 2, 'where', 1, 'name'] },
    ],
  });
});

describe.each<[string, unknown]>([
  ['without a path', undefined],
  ['with a path without index', ['_entities', 'count']],
  ['with the index of no entity', ['_entities', 9, 'count']],
  ['with a path that is none', [{}, null, 'zzz', 1.5]],
  ['with the path of the entity alone', ['_entities', 0]],
  ['with a path of another making', ['count']],
  ['with a path to nothing', ['zzz', 3]],
])('an error %s', (_what, path) => {
  const says = (data: unknown): Script => {
    const error = { message: 'select secret from stock', path, extensions: { code: 'ER_42' } };
    return () => ({ data, errors: [error] });
  };

  test('is reported where something is missing, without a message that shows anything', async () => {
    for (const missing of [null, { count: null }, {}]) {
      gateway.scripts.set('stock', says({ _entities: [missing, { count: 2 }] }));
      expect(await gateway.ask('{ products { count } }')).toEqual({
        data: { products: [{ count: null }, { count: 2 }, { count: null }] },
        errors: at(masked, ['products', 0, 'count'], ['products', 2, 'count']),
      });
    }
  });

  test('is reported without a path where nothing is missing', async () => {
    gateway.scripts.set('stock', says({ _entities: [{ count: 1 }, { count: 2 }] }));
    expect(await gateway.ask('{ products { count } }')).toEqual({
      data: { products: [{ count: 1 }, { count: 2 }, { count: 1 }] },
      errors: [masked],
    });
  });
});

test('errors without a path that say where in the text they are go to the fields that they mean', async () => {
  gateway.scripts.set('catalog', ({ query }) => ({
    errors: ['all', 'product{'].map((field) => ({
      message: `Bad ${field}`,
      locations: [{ line: 1, column: query.indexOf(field) + 1 }],
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
    })),
  }));
  const code = { extensions: { code: 'BAD_USER_INPUT' } };
  expect(await gateway.ask('{ product { name } products { name } all { name } }')).toEqual({
    data: null,
    errors: [
      { message: 'Bad all', path: ['products'], ...code },
      { message: 'Bad all', path: ['all'], ...code },
      { message: 'Bad product{', path: ['product'], ...code },
    ],
  });
});

test('an error of one field takes others along where the subgraph has nothing for its null', async () => {
  gateway.scripts.set('stock', () => ({
    data: { _entities: [null, { count: 2, reserved: 1 }] },
    errors: [{ message: 'Gone.', path: ['_entities', 0, 'reserved'], extensions: { code: 'NOT_FOUND' } }],
  }));
  const gone = { message: 'Gone.', extensions: { code: 'NOT_FOUND' } };
  expect(await gateway.ask('{ product { name } products { count reserved } }')).toEqual({
    data: { product: named('1', {}), products: [null, { count: 2, reserved: 1 }, null] },
    errors: at(
      gone,
      ...[0, 2].map((index) => ['products', index, 'reserved']),
      ...[0, 2].map((index) => ['products', index, 'count']),
    ),
  });
});

test('what is no entity is an error in each of its fields, and the others are used', async () => {
  gateway.scripts.set('stock', entities([{ count: 1 }], { count: 2 }));
  expect(await gateway.ask('{ products { count } }')).toEqual({
    data: { products: [{ count: null }, { count: 2 }, { count: null }] },
    errors: at(masked, ['products', 0, 'count'], ['products', 2, 'count']),
  });
  gateway.scripts.set('stock', entities(5, 'x'));
  expect(await gateway.ask('{ products { reserved } }')).toEqual({
    data: { products: [null, null, null] },
    errors: at(masked, ...[0, 1, 2].map((index) => ['products', index, 'reserved'])),
  });
});

test('reports errors that are no objects as errors', async () => {
  gateway.scripts.set('stock', () => ({ data: { _entities: [{ count: null }] }, errors: ['secret', null] }));
  expect(await gateway.ask('{ product { count } }')).toEqual({
    data: { product: { count: null } },
    errors: [{ ...masked, path: ['product', 'count'] }, masked],
  });
});

test('a failure in very many places is reported in the first of them', async () => {
  const ids = Array.from({ length: 60 }, (_each, index) => String(index));
  gateway.scripts.set('catalog', () => ({ data: { products: ids.map((id) => ({ __typename: 'Product', id })) } }));
  gateway.scripts.set('stock', raw('nothing', 500));
  expect(await gateway.ask('{ products { count reserved } }')).toEqual({
    data: { products: ids.map(() => null) },
    errors: at(
      notThere,
      ...ids.slice(0, 25).flatMap((_id, index) => ['count', 'reserved'].map((field) => ['products', index, field])),
    ),
  });
});

test.each([
  [401, 'UNAUTHENTICATED'],
  [403, 'FORBIDDEN'],
  [429, 'RATE_LIMITED'],
  [503, 'UNAVAILABLE'],
  [500, 'INTERNAL_SERVER_ERROR'],
  [400, 'INTERNAL_SERVER_ERROR'],
])('a refusal with %i and a GraphQL body without a code of ours is %s, without its words', async (status, code) => {
  gateway.scripts.set('stock', raw('{"errors":[{"message":"secret","extensions":{"code":"AUTH_42"}}]}', status));
  const answer = await gateway.ask('{ product { count } }');
  expect(answer).toMatchObject({ errors: [{ path: ['product', 'count'], extensions: { code } }] });
  expect(JSON.stringify(answer)).not.toContain('secret');
  expect(gateway.requests.filter(({ subgraph }) => subgraph === 'stock')).toHaveLength(status === 503 ? 2 : 1);
});

test('a request that the subgraph refuses as a whole is told with its reason', async () => {
  gateway.scripts.set('stock', raw('{"errors":[{"message":"Not now.","extensions":{"code":"RATE_LIMITED"}}]}', 429));
  expect(await gateway.ask('{ product { name count } }')).toEqual({
    data: { product: named('1', { count: null }) },
    errors: [{ message: 'Not now.', path: ['product', 'count'], extensions: { code: 'RATE_LIMITED' } }],
  });
});

test.each([401, 403])('a token that the subgraph refuses with %s is said to be refused', async (status) => {
  gateway.scripts.set('stock', raw('secret', status, 'text/plain'));
  const code = status === 401 ? 'UNAUTHENTICATED' : 'FORBIDDEN';
  expect(await gateway.ask('{ product { count } }')).toMatchObject({
    data: { product: { count: null } },
    errors: [{ path: ['product', 'count'], extensions: { code } }],
  });
});

describe('null for what may not be null', () => {
  test('goes up to what may be, with an error at each place', async () => {
    gateway.scripts.set('stock', entities({ reserved: null }, { reserved: 2 }));
    expect(await gateway.ask('{ products { name reserved } }')).toEqual({
      data: { products: [null, named('2', { reserved: 2 }), null] },
      errors: [0, 2].map((index) => ({ ...misfit, path: ['products', index, 'reserved'] })),
    });
  });

  test('is told once, with the error of the subgraph if there is one', async () => {
    gateway.scripts.set('stock', () => ({
      data: { _entities: [null, { reserved: 2 }] },
      errors: [{ message: 'Gone.', path: ['_entities', 0, 'reserved'], extensions: { code: 'NOT_FOUND' } }],
    }));
    expect(await gateway.ask('{ products { reserved } }')).toEqual({
      data: { products: [null, { reserved: 2 }, null] },
      errors: [0, 2].map((index) => ({
        message: 'Gone.',
        path: ['products', index, 'reserved'],
        extensions: { code: 'NOT_FOUND' },
      })),
    });
  });

  test('is null all the same when the subgraph leaves the field out, or says something of another type', async () => {
    gateway.scripts.set('stock', entities({ count: 'many', depots: 'none' }));
    expect(await gateway.ask('{ product { count depots { full } } }')).toEqual({
      data: { product: { count: null, depots: null } },
      errors: [
        { ...misfit, path: ['product', 'count'] },
        { ...misfit, path: ['product', 'depots'] },
      ],
    });
    gateway.scripts.set('stock', entities({}));
    expect(await gateway.ask('{ product { name count } all { name } }')).toMatchObject({
      data: { product: named('1', { count: null }), all: [named('1', {}), named('2', {})] },
    });
  });
});

test('what is missing is not asked about any further', async () => {
  gateway.scripts.set('catalog', () => ({ data: { products: [null, null] } }));
  expect(await gateway.ask('{ products { name count } }')).toEqual({ data: { products: [null, null] } });
  expect(gateway.requests.map(({ subgraph }) => subgraph)).toEqual(['catalog']);
});

test('a mutation that fails is not sent again, and does not keep the next one from being done', async () => {
  gateway.scripts.set('stock', (_sent, _response, { socket }) => void socket.destroy());
  expect(await gateway.ask('mutation { refill rename { name } }')).toEqual({
    data: { refill: null, rename: named('1', {}) },
    errors: at(notThere, ['refill']),
  });
  expect(gateway.requests.map(({ subgraph }) => subgraph)).toEqual(['stock', 'catalog']);
});

test('when the client goes away, so does what is under way at the subgraphs', async () => {
  let hasGone = false;
  gateway.scripts.set('catalog', (_sent, response) => {
    response.once('close', () => (hasGone = true));
    return undefined;
  });
  const client = new AbortController();
  const answer = gateway.ask('{ product { name } }', { signal: client.signal });
  await eventually(() => expect(gateway.requests).toHaveLength(1));
  client.abort();
  await expect(answer).rejects.toThrow();
  await eventually(() => expect(hasGone).toBe(true));
});

test('a gateway that is set to show what subgraphs say does so, without where in their code it was', async () => {
  await using showing = await startScriptedGateway(subgraphs, { GATEWAY_SUBGRAPH_ERRORS: 'show' });
  showing.scripts.set('catalog', () => ({
    data: { product: null },
    errors: [
      { message: 'Sold out', path: ['product'], extensions: { code: 'SOLD_OUT', stacktrace: ['at x'], until: 5 } },
    ],
  }));
  expect(await showing.ask('{ product { name } }')).toEqual({
    data: { product: null },
    errors: [
      { message: 'Sold out', path: ['product'], extensions: { code: 'SOLD_OUT', until: 5, serviceName: 'catalog' } },
    ],
  });
});
