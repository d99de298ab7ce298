/** Events are completed like answers to queries, also if nothing is joined to them. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startScriptedStreams, type ScriptedStreams } from './scripted-streams.js';

let world: ScriptedStreams;
beforeAll(async () => {
  world = await startScriptedStreams(`
    type Query { q: Int k: K }
    type Subscription { k: K n: Int! e(id: Long): E nodes: [Node!] pet: Pet t: Float }
    enum K { A B @inaccessible }
    scalar Long
    interface Node { id: ID! }
    type E implements Node @key(fields: "id") { id: ID! x: Int long: Long ns: [Int!] }
    type Cat { name: String! }
    type Dog { name: String! }
    union Pet = Cat | Dog
  `);
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.onSubscribe = () => undefined;
});

/** The text of the first frame that a client gets when the subgraph sends these payloads. */
async function frameOf(query: string, payload: string, variables: Readonly<Record<string, unknown>> = {}) {
  const client = await world.client();
  const texts: string[] = [];
  client.socket.on('message', (data: Buffer) => texts.push(data.toString()));
  world.onSubscribe = ({ next }) => next(payload);
  client.subscribe('s', query, variables);
  const text = await eventually(() => {
    const found = texts.find((each) => each.includes('"id":"s"'));
    if (found === undefined) throw new Error('no frame');
    return found;
  });
  client.socket.close();
  return text;
}

/** The payload that a client gets, as text. */
async function payloadOf(query: string, payload: string, variables: Readonly<Record<string, unknown>> = {}) {
  const text = await frameOf(query, payload, variables);
  const head = '{"id":"s","type":"next","payload":';
  expect(text.slice(0, head.length)).toBe(head);
  return text.slice(head.length, -1);
}

const masked = (...path: (string | number)[]) => ({
  message: expect.stringContaining('The log has the cause.') as string,
  path,
  extensions: { code: 'INTERNAL_SERVER_ERROR' },
});

test.each([
  ['an inaccessible value of an enum', 'subscription { k }', '{"k":"B"}', { k: null }, ['k']],
  ['a value that the enum has not', 'subscription { k }', '{"k":"NONE"}', { k: null }, ['k']],
  ['null for what may not be null', 'subscription { n }', '{"n":null}', null, ['n']],
  ['nothing for what may not be null', 'subscription { n }', '{}', null, ['n']],
  ['text for a number', 'subscription { n }', '{"n":"text"}', null, ['n']],
  ['a number of more than 32 bits', 'subscription { n }', '{"n":2147483648}', null, ['n']],
  ['an object for a list', 'subscription { e { ns } }', '{"e":{"ns":{}}}', { e: { ns: null } }, ['e', 'ns']],
  ['null in a list', 'subscription { e { ns } }', '{"e":{"ns":[1,null]}}', { e: { ns: null } }, ['e', 'ns', 1]],
  [
    'a type that is not in the union',
    'subscription { pet { __typename } }',
    '{"pet":{"__typename":"E"}}',
    { pet: null },
    ['pet'],
  ],
])('%s has the answer of a query', async (_what, query, data, expected, path) => {
  expect(JSON.parse(await payloadOf(query, `{"data":${data}}`))).toEqual({
    data: expected,
    errors: [masked(...path)],
  });
});

test('a query gets the same for the same', async () => {
  const answered = world.onQuery;
  world.onQuery = (response) => response.end('{"data":{"k":"B"}}');
  const answer = await world.ask('{ k }');
  world.onQuery = answered;
  expect(answer).toEqual(JSON.parse(await payloadOf('subscription { k }', '{"data":{"k":"B"}}')));
});

test.each([
  ['a number for an ID is text', '{ e { id x } }', '{"e":{"id":7,"x":1}}', '{"e":{"id":"7","x":1}}'],
  ['what is missing is null', '{ e { id x } }', '{"e":{"id":"7"}}', '{"e":{"id":"7","x":null}}'],
  ['what nobody asked for is left out', '{ e { id } }', '{"e":{"id":"7","secret":1},"more":2}', '{"e":{"id":"7"}}'],
  ['fields are in the order asked for', '{ e { x id } }', '{"e":{"id":"7","x":1}}', '{"e":{"x":1,"id":"7"}}'],
  ['white space is left out', '{ e { id } }', '{"e": {"id": "7"}}', '{"e":{"id":"7"}}'],
])('%s', async (_what, selection, data, expected) => {
  expect(await payloadOf(`subscription ${selection}`, `{"data":${data}}`)).toBe(`{"data":${expected}}`);
  // Beside what the gateway and a subgraph say to each other.
  const beside = '"extensions":{"stream":{"cursor":"c","position":"1"}}';
  expect(await payloadOf(`subscription ${selection}`, `{"data":${data},${beside}}`)).toBe(`{"data":${expected}}`);
});

test('an event that fits goes on as it is', async () => {
  const data = '{"e":{"id":"\\u0037","x":-5,"long":1.50,"ns":[1,2],"__typename":"E"}}';
  const query = 'subscription { e { id x long ns __typename } }';
  expect(await payloadOf(query, `{"data":${data}}`)).toBe(`{"data":${data}}`);
});

test('conditions decide what fits', async () => {
  const query = 'subscription S($x: Boolean!) { e(id: 1) { id x @include(if: $x) } }';
  const both = '{"data":{"e":{"id":"7","x":1}}}';
  expect(await payloadOf(query, both, { x: true })).toBe(both);
  expect(await payloadOf(query, both, { x: false })).toBe('{"data":{"e":{"id":"7"}}}');
});

// Ids of 64 bits are usual as numbers in Go, Java and .NET.
test('a number beyond 2^53 keeps its digits, whether the event fits or has to be completed', async () => {
  const query = 'subscription { e { long x } }';
  const fitting = '{"data":{"e":{"long":9007199254740993,"x":1}}}';
  expect(await payloadOf(query, fitting)).toBe(fitting);
  expect(await payloadOf(query, '{"data":{"e":{"x":1,"long":{"deep":[9007199254740993]}}}}')).toBe(
    '{"data":{"e":{"long":{"deep":[9007199254740993]},"x":1}}}',
  );
});

test('the default of a variable keeps its digits on the way to the subgraph', async () => {
  const client = await world.client();
  const sent: string[] = [];
  world.onSubscribe = ({ text, next }) => {
    sent.push(text);
    next('{"data":{"e":{"id":"7"}}}');
  };
  client.subscribe('s', 'subscription S($id: Long = 9007199254740993) { e(id: $id) { id } }');
  client.subscribe('t', 'subscription S($id: Long = 9007199254740995) { e(id: $id) { id } }');
  await client.payload('s');
  await client.payload('t');
  expect(sent).toHaveLength(2);
  expect(sent[0]).toContain('"id":9007199254740993');
  expect(sent[1]).toContain('"id":9007199254740995');
});

test('errors of an event are masked as those of a query, and a malformed path is cut to what is one', async () => {
  const errors = [
    { message: 'SELECT * FROM users failed', path: [{}, null, 'zzz', 1.5] },
    { message: 'host db-7:5432 is away', path: ['e', 'x', { a: 1 }, 2], extensions: 'none' },
    { message: 'There is no such thing.', path: ['e', 'ns', 0], extensions: { code: 'NOT_FOUND', host: 'db-7' } },
    { text: 'no message' },
  ];
  const payload = JSON.stringify({ data: { e: { x: null, ns: null } }, errors });
  const { message, extensions } = masked();
  expect(JSON.parse(await payloadOf('subscription { e { x ns } }', payload))).toEqual({
    data: { e: { x: null, ns: null } },
    errors: [
      { message, extensions },
      { message, extensions, path: ['e', 'x'] },
      { message: 'There is no such thing.', path: ['e', 'ns', 0], extensions: { code: 'NOT_FOUND' } },
      { message, extensions },
    ],
  });
});
