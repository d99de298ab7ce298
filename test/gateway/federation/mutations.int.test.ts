/** Mutations: one after the other, whichever subgraphs they are in. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';

let graph: Federation;
const written: string[] = [];

beforeAll(async () => {
  const write = ({ text }: { text: string }): string => {
    written.push(text);
    return written.join('');
  };
  const log = {
    __typename: 'Log',
    id: 'l',
    get text() {
      return written.join('');
    },
    size: 3,
  };
  graph = await startFederation({
    subgraphs: {
      one: 'type Query { log: Log } type Mutation { first(text: String!): String open: Log } type Log @key(fields: "id") { id: ID! text: String }',
      two: 'type Mutation { second(text: String!): String } type Log @key(fields: "id") { id: ID! size: Int }',
    },
    data: { roots: { first: write, second: write, open: log, log }, entities: [log] },
  });
});
afterAll(() => graph[Symbol.asyncDispose]());

test('each sees what those before it have done, and the order in the answer is theirs', async () => {
  const { data } = await graph.ask(
    'mutation { a: first(text: "a") b: second(text: "b") c: first(text: "c") open { text size } d: second(text: "d") }',
  );
  expect(JSON.stringify(data)).toBe('{"a":"a","b":"ab","c":"abc","open":{"text":"abc","size":3},"d":"abcd"}');
});

test('one that is left out by a variable is not done', async () => {
  written.length = 0;
  await graph.ask('mutation ($yes: Boolean!) { first(text: "a") second(text: "b") @include(if: $yes) }', {
    yes: false,
  });
  expect(written).toEqual(['a']);
});
