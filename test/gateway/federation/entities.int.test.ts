/** Entities: found in one subgraph, completed in others, by keys of every kind. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

describe('keys of every kind', () => {
  let graph: Federation;
  const place = { __typename: 'Place', building: 'north', floor: 2, room: { __typename: 'Room', code: 'n2' } };
  const sensor = (id: string, more: object): Thing => ({
    __typename: 'Sensor',
    id,
    serial: `sn-${id}`,
    model: { __typename: 'Model', id: 'm', maker: 'acme', warranty: 24 },
    place,
    name: `Sensor ${id}`,
    battery: 80,
    firmware: '1.2',
    unit: 'C',
    warranty: 24,
    slot: 7,
    note: null,
    ...more,
  });
  const first = sensor('1', {});
  const second = sensor('2', { battery: 0, firmware: null, note: 'spare' });
  /** It has no serial: whoever needs that can't find it. */
  const unmarked = sensor('3', { serial: null, firmware: null, battery: null });
  const gateway = { __typename: 'Hub', id: 'h', label: 'Hub', sensors: [first, second, null, unmarked], best: second };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        hubs: `
          type Query { hub: Hub sensors: [Sensor] }
          type Hub @key(fields: "id") { id: ID! sensors: [Sensor] best: Sensor }
          type Sensor @key(fields: "id") { id: ID! slot: Int }`,
        registry: `
          type Hub @key(fields: "id") { id: ID! label: String }
          type Sensor @key(fields: "id") @key(fields: "serial") {
            id: ID! serial: String name: String model: Model @shareable place: Place @shareable
          }
          type Model @key(fields: "id maker") { id: ID! maker: String! }
          type Place { building: String @shareable floor: Int room: Room @shareable }
          type Room @shareable { code: ID! }`,
        power: `type Sensor @key(fields: "serial") { serial: String battery: Int }`,
        updates: `
          type Sensor @key(fields: "serial model { id maker }") { serial: String model: Model @shareable firmware: String }
          type Model @key(fields: "id maker") { id: ID! maker: String! }`,
        rooms: `
          type Sensor @key(fields: "id place { building room { code } }") { id: ID! place: Place @shareable note: String }
          type Place @shareable { building: String room: Room }
          type Room @shareable { code: ID! }`,
        sales: `type Model @key(fields: "maker id") { id: ID! maker: String! warranty: Int }`,
      },
      data: {
        roots: { hub: gateway, sensors: [second, null, first] },
        entities: [first, second, unmarked, gateway, { __typename: 'Model', id: 'm', maker: 'acme', warranty: 24 }],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('an entity in a list is completed from a subgraph that has another key', async () => {
    const data = await graph.compare('{ sensors { slot name battery } }');
    expect(data).toEqual({
      sensors: [{ slot: 7, name: 'Sensor 2', battery: 0 }, null, { slot: 7, name: 'Sensor 1', battery: 80 }],
    });
  });

  test('each entity is asked for once, wherever it is in the answer', async () => {
    await graph.compare('{ hub { best { name } sensors { name } } sensors { name } }');
    const asked = graph.requests.filter(({ subgraph }) => subgraph === 'registry');
    const ids = asked.flatMap(({ variables }) =>
      (variables['representations'] as { id: string }[]).map(({ id }) => id),
    );
    expect([...ids].sort()).toEqual([...new Set(ids)].sort());
  });

  test('a key of several fields, nested ones among them, is sent whole', async () => {
    await graph.compare('{ hub { best { firmware note model { warranty } } } }');
    const asked = graph.requests.find(({ subgraph }) => subgraph === 'rooms');
    expect(asked?.variables['representations']).toEqual([
      { __typename: 'Sensor', id: '2', place: { building: 'north', room: { code: 'n2' } } },
    ]);
  });

  test('what hangs on a key that is null is null', async () => {
    const { data, errors } = await graph.ask('{ hub { sensors { slot battery } } }');
    expect(data).toEqual({
      hub: { sensors: [{ slot: 7, battery: 80 }, { slot: 7, battery: 0 }, null, { slot: 7, battery: null }] },
    });
    expect(errors).toBeUndefined();
  });

  test('names of the client that keys have go into the answer, and keys to the subgraphs', () =>
    graph.compare('{ sensors { id: battery serial: name model: note place: slot other: firmware } }'));

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

describe('entities that are not what they seem', () => {
  let graph: Federation;
  const known: Thing = { __typename: 'Lamp', id: 'a', watts: 5, room: 'hall' };
  const gone: Thing = { __typename: 'Lamp', id: 'gone', watts: 9 };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        lamps: 'type Query { lamps: [Lamp!]! lamp(id: ID!): Lamp } type Lamp @key(fields: "id") { id: ID! watts: Int }',
        rooms: 'type Lamp @key(fields: "id") { id: ID! room: String roomOrNone: String! }',
      },
      data: {
        roots: {
          lamps: [known, gone],
          lamp: ({ id }: { id: string }) => [known, gone].find((lamp) => lamp['id'] === id) ?? null,
        },
        entities: [{ ...known, roomOrNone: 'hall' }],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('one that another subgraph does not know has null for its fields, and the rest of the answer is whole', async () => {
    expect(await graph.ask('{ lamps { id watts room } }')).toEqual({
      data: {
        lamps: [
          { id: 'a', watts: 5, room: 'hall' },
          { id: 'gone', watts: 9, room: null },
        ],
      },
    });
  });

  test('where its field may not be null, null goes up to what may be, with the path of the field', async () => {
    const { data, errors } = await graph.ask(
      '{ one: lamp(id: "a") { roomOrNone } other: lamp(id: "gone") { roomOrNone } }',
    );
    expect(data).toEqual({ one: { roomOrNone: 'hall' }, other: null });
    expect(errors).toMatchObject([{ path: ['other', 'roomOrNone'] }]);
  });

  test('one that is not there at all is null', () => graph.compare('{ lamp(id: "none") { id room } }'));
});

describe('an entity below one that another subgraph has', () => {
  let graph: Federation;
  const level = { __typename: 'Level', code: 2, title: 'Second', lifts: 3 };
  const building: Thing = { __typename: 'Building', id: 'b', name: 'North', level, owner: 'acme' };
  const site: Thing = { __typename: 'Site', id: 's', main: building, buildings: [building], city: 'Bern' };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        sites: `
          type Query { site: Site }
          type Site @key(fields: "id") { id: ID! main: Building buildings: [Building!]! }
          type Building @key(fields: "id") { id: ID! level: Level @shareable }
          type Level { code: Int @shareable lifts: Int }`,
        names: `
          type Building @key(fields: "id") { id: ID! name: String level: Level @shareable }
          type Level { code: Int @shareable title: String }`,
        owners: `type Building @key(fields: "id") { id: ID! owner: String } type Site @key(fields: "id") { id: ID! city: String }`,
      },
      data: { roots: { site }, entities: [building, site] },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('a value without a key is completed by the entity above it', async () => {
    const data = await graph.compare(
      '{ site { buildings { level { code title lifts } } main { level { title } owner } } }',
    );
    expect(data).toMatchObject({ site: { buildings: [{ level: { title: 'Second', lifts: 3 } }] } });
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});
