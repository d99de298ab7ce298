/** Interface objects: who knows an interface and not its types, asked in every way; those that can't be resolved by a key; fields taken over. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

const video: Thing = {
  __typename: 'Video',
  id: 'v',
  title: 'Video',
  seconds: 60,
  author: 'Ann',
  rating: 5,
  blurb: 'Video 5',
  shelf: 'top',
};
const paper: Thing = {
  __typename: 'Paper',
  id: 'p',
  title: 'Paper',
  words: 900,
  author: null,
  rating: 2,
  blurb: 'Paper 2',
  shelf: 'low',
};
const list: Thing = { __typename: 'Playlist', id: 'l', name: 'List', media: [video, null, paper], top: video };

const mediaSubgraph = `
  type Query { media: [Media] video: Video }
  interface Media @key(fields: "id") { id: ID! title: String }
  type Video implements Media @key(fields: "id") { id: ID! title: String seconds: Int }
  type Paper implements Media @key(fields: "id") { id: ID! title: String words: Int }`;

describe('interface objects', () => {
  let graph: Federation;
  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        media: mediaSubgraph,
        authors: `
          type Video @key(fields: "id") { id: ID! author: String }
          type Paper @key(fields: "id") { id: ID! author: String }`,
        lists: `
          type Query { list: Playlist medium(id: ID!): Media }
          type Playlist @key(fields: "id") { id: ID! name: String media: [Media] top: Media }
          type Media @key(fields: "id") @interfaceObject { id: ID! }`,
        ratings: `
          type Query { best: Media rated: [Media!]! }
          type Media @key(fields: "id") @interfaceObject { id: ID! rating: Int! }`,
        shelves: `
          type Query { shelved: [Media] }
          type Media @key(fields: "id") @interfaceObject { id: ID! shelf: String }`,
      },
      data: {
        roots: {
          media: [video, paper],
          video,
          list,
          best: video,
          rated: [paper, video],
          shelved: [video, null],
          medium: ({ id }: { id: string }) => [video, paper].find((each) => each['id'] === id) ?? null,
        },
        entities: [video, paper, list],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('types are learnt from who has them, before what only one of them has is asked for', async () => {
    await graph.compare(
      '{ list { top { ... on Video { seconds author } } media { id ... on Paper { words } rating } } }',
    );
    await graph.compare('{ best { ... on Video { author } } }');
    await graph.compare('{ best { ... on Paper { author } } }');
    await graph.compare('{ shelved { shelf ... on Video { rating shelf } } }');
  });

  test('a fragment on another type of the interface selects nothing', async () => {
    expect(await graph.compare('{ best { ... on Paper { words } } }')).toEqual({ best: {} });
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny({ id: ['"v"', '"p"', '"x"'] }));
});

describe('an interface object that requires something of the types behind it', () => {
  let graph: Federation;
  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        media: mediaSubgraph,
        blurbs: `
          type Query { best: Media }
          type Media @key(fields: "id") @interfaceObject { id: ID! title: String @external blurb: String @requires(fields: "title") }`,
      },
      data: {
        roots: { media: [paper, video], video, best: video },
        entities: [video, paper],
        computed: { 'Media.blurb': ({ title }) => `about ${String(title)}` },
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('is sent nothing of a type that was not asked for', async () => {
    await graph.compare('{ media { ... on Video { ... on Media { id blurb } seconds } } }');
    await graph.compare('{ media { title ... on Video { blurb } } }');
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

// The planner merged a fetch with one that came before it, and then went round in a circle until its memory was full.
test('an interface object that requires something is asked for one type, behind another interface object', async () => {
  await using graph = await startFederation({
    subgraphs: {
      media: mediaSubgraph,
      blurbs: `
        type Media @key(fields: "id") @interfaceObject { id: ID! title: String @external blurb: String @requires(fields: "title") }`,
      ratings: `
        type Query { best: Media rated: [Media!]! }
        type Media @key(fields: "id") @interfaceObject { id: ID! rating: Int! }`,
    },
    data: {
      roots: { media: [paper, video], video, best: video, rated: [paper, video] },
      entities: [video, paper],
      computed: { 'Media.blurb': ({ title }) => `about ${String(title)}` },
    },
  });
  await graph.compare('{ best { ... on Video { blurb } } }');
  await graph.compare('{ best { ... on Paper { blurb } } }');
  await graph.compare('{ rated { ... on Paper { ... on Media { blurb } } title } }');
  await graph.compare(
    '{ rated { rating ... on Paper { blurb words } ... on Video { seconds blurb } } best { blurb } }',
  );
});

describe('an interface object that its subgraph does not resolve by a key', () => {
  let graph: Federation;
  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        media: `
          type Query { media: [Media] }
          interface Media @key(fields: "id") { id: ID! title: String }
          type Video implements Media @key(fields: "id") { id: ID! title: String seconds: Int }
          type Paper implements Media @key(fields: "id") { id: ID! title: String words: Int }`,
        lists: `
          type Query { best: Media shelved: [Media] }
          type Media @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }`,
        shelves: `type Media @key(fields: "id") @interfaceObject { id: ID! shelf: String }`,
      },
      data: { roots: { media: [paper], best: video, shelved: [paper, video] }, entities: [video, paper] },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('leads to those that do', async () => {
    await graph.compare(
      '{ best { title shelf __typename ... on Video { seconds } } shelved { ... on Paper { title } } }',
    );
  });
});

describe('fields of types behind an interface that another subgraph has taken over', () => {
  let graph: Federation;
  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        old: `
          type Query { media: [Media] any: [Any] }
          interface Media { id: ID! title: String author: String }
          union Any = Video | Paper
          type Video implements Media @key(fields: "id") { id: ID! title: String author: String seconds: Int }
          type Paper implements Media @key(fields: "id") { id: ID! title: String author: String words: Int }`,
        new: `
          type Query { latest: Media }
          interface Media { id: ID! author: String }
          type Video implements Media @key(fields: "id") { id: ID! author: String @override(from: "old") }
          type Paper implements Media @key(fields: "id") { id: ID! author: String @override(from: "old") words: Int @override(from: "old") }`,
      },
      data: { roots: { media: [video, paper], any: [paper, video], latest: paper }, entities: [video, paper] },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('are asked of who has them now', () =>
    graph.compare(
      '{ media { title author ... on Paper { words } } latest { author title } any { ... on Media { author } } }',
    ));

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});
