/**
 * What is missing in the answer for a reason that is elsewhere: a type that is not said, a fetch that
 * was not made since another failed, an object that two subgraphs give a part of.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startScriptedGateway, type Script, type ScriptedGateway } from './scripted-subgraphs.js';

let gateway: ScriptedGateway;

beforeAll(async () => {
  gateway = await startScriptedGateway({
    catalog: `
      type Query { item: Item items: [Item] named: Named part: Part }
      union Item = Part | Note
      interface Named { name: String }
      type Note implements Named { name: String text: String }
      type Part implements Named @key(fields: "id") { id: ID! name: String box: Box @shareable }
      type Box @shareable { width: Int }`,
    stock: `
      type Part @key(fields: "id") { id: ID! size: Int! weight: Int box: Box @shareable }
      type Box @shareable { width: Int height: Int }`,
    sales: `
      type Part @key(fields: "id") {
        id: ID! size: Int! @external
        price: Int @requires(fields: "size") discount: Int @requires(fields: "size")
        box: Box @external volume: Int @requires(fields: "box { width height }")
      }
      type Box @shareable { width: Int height: Int }`,
  });
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => {
  gateway.scripts.clear();
  gateway.requests.length = 0;
});

const answers =
  (data: object): Script =>
  () => ({ data });
const breaks: Script = (_sent, _response, { socket }) => void socket.destroy();
const misfit = {
  message: 'A subgraph gave a value that does not fit the schema. The log has the cause.',
  extensions: { code: 'INTERNAL_SERVER_ERROR' },
};
const notThere = {
  message: 'The subgraph "stock" does not answer. The same request may be retried.',
  extensions: { code: 'UNAVAILABLE' },
};

describe('a value whose type the subgraph does not say', () => {
  test.each([
    ['of a union', 'item { ... on Part { id } }', 'item', { id: '1' }],
    ['of a union, with a type that is no text', 'item { ... on Part { id } }', 'item', { __typename: 5, id: '1' }],
    ['of an interface', 'named { name ... on Note { text } }', 'named', { name: 'n', text: 't' }],
    ['of an interface whose name it says', 'named { ... on Note { text } }', 'named', { __typename: 'Named' }],
  ])('%s is null, with an error', async (_what, query, field, value) => {
    gateway.scripts.set('catalog', answers({ [field]: value }));
    expect(await gateway.ask(`{ ${query} }`)).toEqual({
      data: { [field]: null },
      errors: [{ ...misfit, path: [field] }],
    });
  });

  test('is used where the same is asked of all types', async () => {
    gateway.scripts.set('catalog', answers({ named: { name: 'n' } }));
    expect(await gateway.ask('{ named { name } }')).toEqual({ data: { named: { name: 'n' } } });
  });

  test('leaves the others of a list', async () => {
    gateway.scripts.set('catalog', answers({ items: [{ text: 'a' }, { __typename: 'Note', text: 'b' }] }));
    expect(await gateway.ask('{ items { ... on Note { text } } }')).toEqual({
      data: { items: [null, { text: 'b' }] },
      errors: [{ ...misfit, path: ['items', 0] }],
    });
  });
});

const part = { __typename: 'Part', id: '1', name: 'n' };

test('fields that require what did not come have the error of the fetch that failed', async () => {
  gateway.scripts.set('catalog', answers({ part }));
  gateway.scripts.set('stock', breaks);
  expect(await gateway.ask('{ part { name cost: price discount weight } }')).toEqual({
    data: { part: { name: 'n', cost: null, discount: null, weight: null } },
    errors: ['weight', 'cost', 'discount'].map((field) => ({ ...notThere, path: ['part', field] })),
  });
  expect(gateway.requests.map(({ subgraph }) => subgraph)).toEqual(['catalog', 'stock', 'stock']);
});

test('a subgraph is not asked to reckon with a part of what it requires', async () => {
  gateway.scripts.set('catalog', answers({ part: { ...part, box: { width: 3 } } }));
  gateway.scripts.set('stock', breaks);
  gateway.scripts.set('sales', answers({ _entities: [{ volume: 0 }] }));
  expect(await gateway.ask('{ part { name volume } }')).toEqual({
    data: { part: { name: 'n', volume: null } },
    errors: [{ ...notThere, path: ['part', 'volume'] }],
  });
  expect(gateway.requests.map(({ subgraph }) => subgraph)).not.toContain('sales');
});

test('an error about what only another subgraph needs is reported at the field that could not be fetched', async () => {
  gateway.scripts.set('catalog', answers({ part }));
  gateway.scripts.set('stock', () => ({
    data: { _entities: [null] },
    errors: [{ message: 'Gone.', path: ['_entities', 0, 'size'], extensions: { code: 'NOT_FOUND' } }],
  }));
  expect(await gateway.ask('{ part { price } }')).toEqual({
    data: { part: { price: null } },
    errors: [{ message: 'Gone.', path: ['part', 'price'], extensions: { code: 'NOT_FOUND' } }],
  });
});

test('of an object that two subgraphs give a part of, the part that is missing has the error', async () => {
  gateway.scripts.set('catalog', answers({ part: { ...part, box: { width: 3 } } }));
  gateway.scripts.set('stock', breaks);
  expect(await gateway.ask('{ part { box { width height } } }')).toEqual({
    data: { part: { box: { width: 3, height: null } } },
    errors: [{ ...notThere, path: ['part', 'box', 'height'] }],
  });
});

test('names that the client has given are in the paths, also where the plan has others', async () => {
  gateway.scripts.set('catalog', answers({ part }));
  gateway.scripts.set('stock', breaks);
  expect(await gateway.ask('{ part { size: weight id: price } }')).toEqual({
    data: { part: { size: null, id: null } },
    errors: ['size', 'id'].map((field) => ({ ...notThere, path: ['part', field] })),
  });
});

test('an object that comes too late to be asked about has the error of what would have brought it', async () => {
  await using shared = await startScriptedGateway({
    former: `type Query { tank: Tank @shareable tanks: [Tank] }
      type Tank @key(fields: "id") { id: ID! limit: Int }`,
    latter: `type Query { tank: Tank @shareable }
      type Tank @key(fields: "id") { id: ID! limit: Int @external alarm: String @requires(fields: "limit") }`,
  });
  shared.scripts.set('former', answers({ tank: { limit: 9 }, tanks: [] }));
  shared.scripts.set('latter', breaks);
  const answer = await shared.ask('{ tank { alarm limit } tanks { limit } }');
  // Asked of one of them, the key is not there; of the other, the subgraph breaks off.
  expect(answer).toEqual({
    data: { tank: { alarm: null, limit: 9 }, tanks: [] },
    errors: [{ ...notThere, message: notThere.message.replace('stock', 'latter'), path: ['tank', 'alarm'] }],
  });
});
