/** Types that several subgraphs have in common and know differently: members of unions, values of enums, fields that may be null here and not there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

describe('unions and enums of which each subgraph knows a part', () => {
  let graph: Federation;
  const book: Thing = { __typename: 'Book', id: 'b', title: 'Book', pages: 9, isbn: 'i1', kind: 'PAPER' };
  const film: Thing = { __typename: 'Film', id: 'f', title: 'Film', minutes: 90, isbn: null, kind: 'SCREEN' };
  const song: Thing = { __typename: 'Song', id: 's', title: 'Song', seconds: 200 };
  const shelf: Thing = {
    __typename: 'Shelf',
    id: 'h',
    first: book,
    last: film,
    pick: song,
    anything: [book, null, film],
  };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        library: `
          type Query { shelf: Shelf @shareable first: Work @shareable all: [Work] ofKind(kind: Kind): [Work] }
          type Shelf @key(fields: "id") { id: ID! first: Work @shareable last: Work anything: [Work] }
          union Work = Book | Film
          enum Kind { PAPER SCREEN }
          enum Format { DVD TAPE }
          type Book @key(fields: "id") { id: ID! title: String @shareable pages: Int kind: Kind @shareable }
          type Film @key(fields: "id") { id: ID! title: String @shareable kind: Kind @shareable }`,
        music: `
          type Query { shelf: Shelf @shareable first: Work @shareable }
          type Shelf @key(fields: "id") { id: ID! first: Work @shareable pick: Work }
          union Work = Book | Song
          type Book @key(fields: "id") { id: ID! title: String @shareable isbn: String }
          type Song { title: String seconds: Int }`,
        film: `
          enum Kind { PAPER SCREEN }
          enum Format { DVD REEL }
          type Film @key(fields: "id") { id: ID! title: String @shareable minutes: Int kind: Kind @shareable }
          type Book @key(fields: "id") { id: ID! kind: Kind @shareable }`,
      },
      data: {
        roots: {
          shelf,
          first: book,
          all: [film, book],
          ofKind: ({ kind }: { kind?: string }) => [book, film].filter((each) => each['kind'] === kind),
        },
        entities: [shelf, book, film],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('members that only one subgraph knows are asked of that one', () =>
    graph.compare(
      '{ shelf { first { ... on Book { pages isbn } ... on Song { seconds } } last { ... on Film { minutes title } ... on Song { title } } pick { __typename ... on Song { seconds } ... on Film { minutes } } } }',
    ));

  test('a member that the subgraph at hand does not know is in no answer of it', () =>
    graph.compare('{ all { ... on Song { title } } first { ... on Film { title } } }'));

  test('values of an enum that not all know go where they are known', () =>
    graph.compare('{ ofKind(kind: SCREEN) { ... on Film { title kind minutes } } all { ... on Book { kind } } }'));

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

describe('fields of one name whose types differ', () => {
  let graph: Federation;
  const user: Thing = { __typename: 'User', id: 'u', name: 'Ada', level: 1, friend: null, tags: ['a', null] };
  const admin: Thing = { __typename: 'Admin', id: 'a', name: null, level: 'high', friend: user, tags: ['b'] };
  const withFriend: Thing = { ...user, id: 'v', friend: admin };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        accounts: `
          type Query { accounts: [Account] both: [Account!] }
          union Account = User | Admin
          type User @key(fields: "id") { id: ID! name: String! level: Int friend: Account tags: [String]! }
          type Admin @key(fields: "id") { id: ID! name: String level: String! friend: User! tags: [String!] }`,
        profiles: `
          type Query { someone: Account }
          union Account = User | Admin
          type User @key(fields: "id") { id: ID! bio: String! }
          type Admin @key(fields: "id") { id: ID! bio: [Bio!] }
          type Bio { text: String }`,
      },
      data: {
        roots: { accounts: [user, admin, withFriend, null], both: [admin, user], someone: admin },
        entities: [
          { ...user, bio: 'short' },
          { ...admin, bio: [{ __typename: 'Bio', text: 'long' }] },
          { ...withFriend, bio: 'none' },
        ],
      },
    });
    for (const [thing, bio] of [
      [user, 'short'],
      [withFriend, 'none'],
      [admin, [{ __typename: 'Bio', text: 'long' }]],
    ] as const)
      Object.assign(thing, { bio });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('are asked for side by side, under names of their own', async () => {
    const data = await graph.compare(
      '{ accounts { ... on User { id names: tags } ... on Admin { id tags name } } someone { ... on Admin { id } } }',
    );
    expect(data).toMatchObject({ accounts: [{ names: ['a', null] }, { tags: ['b'] }, { names: ['a', null] }, null] });
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

describe('what is asked for of one type of a union', () => {
  let graph: Federation;
  const pump: Thing = { __typename: 'Pump', id: 'p', hours: 3, cost: 10 };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        reports: `
          type Query { report: Report reports: [Report] }
          union Report = Fault | Inspection
          type Fault { pump: Pump }
          type Inspection { pump: Pump }
          type Pump @key(fields: "id") { id: ID! }`,
        hours: `type Pump @key(fields: "id") { id: ID! hours: Int }`,
        costs: `type Pump @key(fields: "id") { id: ID! cost: Int! }`,
      },
      data: {
        roots: {
          report: { __typename: 'Fault', pump },
          reports: [{ __typename: 'Inspection', pump }, null, { __typename: 'Fault', pump: null }],
        },
        entities: [pump],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('is not fetched for the others', async () => {
    const fields = '... on Fault { pump { hours } } ... on Inspection { pump { cost } }';
    expect(await graph.compare(`{ report { ${fields} } }`)).toEqual({ report: { pump: { hours: 3 } } });
    expect(graph.requests.map(({ subgraph }) => subgraph)).toEqual(['reports', 'hours']);
    await graph.compare(`{ reports { ${fields} } }`);
    expect(graph.requests.map(({ subgraph }) => subgraph)).toEqual(['reports', 'costs']);
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

describe('a value of an enum that clients may not see', () => {
  let graph: Federation;
  const lamps = ['ON', 'BLINK'].map((mode): Thing => ({ __typename: 'Lamp', id: mode.toLowerCase(), mode }));

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        lamps: `
          type Query { lamps: [Lamp] inMode(mode: Mode): [Lamp] }
          type Lamp @key(fields: "id") { id: ID! mode: Mode }
          enum Mode { ON OFF BLINK @inaccessible }`,
      },
      data: { roots: { lamps, inMode: () => lamps.slice(0, 1) }, entities: lamps },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('is null in an answer, with an error in its place', async () => {
    const { data, errors } = await graph.ask('{ lamps { id mode } }');
    expect(data).toEqual({
      lamps: [
        { id: 'on', mode: 'ON' },
        { id: 'blink', mode: null },
      ],
    });
    expect(errors).toMatchObject([{ path: ['lamps', 1, 'mode'] }]);
    expect(JSON.stringify(errors)).not.toContain('BLINK');
  });

  test('is not taken from a client', async () => {
    const query = 'query ($mode: Mode) { inMode(mode: $mode) { id } }';
    expect(await graph.compare(query, { mode: 'ON' })).toEqual({ inMode: [{ id: 'on' }] });
    const { data, errors } = await graph.ask(query, { mode: 'BLINK' });
    expect(data).toBeUndefined();
    expect(errors).toHaveLength(1);
  });
});
