/** A subgraph that is wanted at once for one field and later for another is asked once, when all is there. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startScriptedGateway, type ScriptedGateway, type SentRequest } from './scripted-subgraphs.js';

let gateway: ScriptedGateway;
const representationsOf = ({ variables }: SentRequest) =>
  (variables['representations'] ?? []) as readonly Readonly<Record<string, unknown>>[];
const asked = (subgraph: string) =>
  gateway.requests.filter((request) => request.subgraph === subgraph).map(({ sent }) => sent);

beforeAll(async () => {
  gateway = await startScriptedGateway({
    reviews: `type Query { reviews: [Review] offers: [Product] } type Review { product: Product }
      type Product @key(fields: "upc") { upc: ID! }`,
    products: 'type Product @key(fields: "upc") { upc: ID! price: Int weight: Int }',
    inventory: `type Product @key(fields: "upc") { upc: ID! price: Int @external weight: Int @external
      inStock: Boolean shipping: Int @requires(fields: "price weight") }`,
  });
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => {
  gateway.requests.length = 0;
  const product = (upc: string) => ({ __typename: 'Product', upc });
  gateway.scripts.set('reviews', ({ query }) => ({
    data: {
      reviews: ['1', '2'].map((upc) => ({ product: product(upc) })),
      ...(query.includes('offers') ? { offers: [product('1')] } : {}),
    },
  }));
  gateway.scripts.set('products', (sent) => ({
    data: { _entities: representationsOf(sent).map(({ upc }) => ({ price: Number(upc) * 100, weight: 7 })) },
  }));
  gateway.scripts.set('inventory', (sent) => ({
    data: {
      _entities: representationsOf(sent).map(({ price, weight }) => ({
        ...(sent.query.includes('inStock') ? { inStock: true } : {}),
        ...(sent.query.includes('shipping') ? { shipping: Number(price) + Number(weight) } : {}),
      })),
    },
  }));
});

test('one request brings what needs nothing and what requires the fields of another subgraph', async () => {
  expect(await gateway.ask('{ reviews { product { inStock shipping } } }')).toEqual({
    data: {
      reviews: [{ product: { inStock: true, shipping: 107 } }, { product: { inStock: true, shipping: 207 } }],
    },
  });
  expect(asked('inventory').map(representationsOf)).toEqual([
    [
      { __typename: 'Product', price: 100, upc: '1', weight: 7 },
      { __typename: 'Product', price: 200, upc: '2', weight: 7 },
    ],
  ]);
});

test('entities that lack what the later field requires are asked for the other one', async () => {
  gateway.scripts.set('products', () => ({
    data: { _entities: [null, { price: 200, weight: 7 }] },
    errors: [{ message: 'There is no such product.', path: ['_entities', 0] }],
  }));
  const answer = await gateway.ask('{ reviews { product { inStock shipping } } }');
  expect(answer).toMatchObject({
    data: {
      reviews: [{ product: { inStock: true, shipping: null } }, { product: { inStock: true, shipping: 207 } }],
    },
  });
  expect(asked('inventory').map(representationsOf)).toEqual(
    expect.arrayContaining([
      [{ __typename: 'Product', price: 200, upc: '2', weight: 7 }],
      [{ __typename: 'Product', upc: '1' }],
    ]),
  );
});

test('while the required subgraph is away, the rest of the entities is there', async () => {
  gateway.scripts.set('products', (_sent, _response, { socket }) => void socket.destroy());
  expect(await gateway.ask('{ reviews { product { inStock shipping } } }')).toMatchObject({
    data: { reviews: [{ product: { inStock: true, shipping: null } }, { product: { inStock: true, shipping: null } }] },
    errors: [0, 1].map((index) => ({
      path: ['reviews', index, 'product', 'shipping'],
      extensions: { code: 'UNAVAILABLE' },
    })),
  });
});

test('an entity that is asked for at two places in the same words is asked for once', async () => {
  const answer = await gateway.ask('{ reviews { product { inStock shipping } } offers { shipping inStock } }');
  expect(answer).toMatchObject({ data: { offers: [{ shipping: 107, inStock: true }] } });
  expect(asked('inventory').flatMap(representationsOf)).toHaveLength(2);
});

test('fields under a condition stay apart', async () => {
  const query = 'query Q($yes: Boolean!) { reviews { product { inStock @include(if: $yes) shipping } } }';
  const body = (yes: boolean) => ({ body: JSON.stringify({ query, variables: { yes } }) });
  expect(await gateway.ask('', body(false))).toEqual({
    data: { reviews: [{ product: { shipping: 107 } }, { product: { shipping: 207 } }] },
  });
  expect(await gateway.ask('', body(true))).toMatchObject({
    data: { reviews: [{ product: { inStock: true, shipping: 107 } }, {}] },
  });
});
