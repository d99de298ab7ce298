/** Numbers that clients send, over each transport, as subgraphs get them; and what is refused before any is asked. */
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import { exactJson, LosslessNumber, parseExactJson } from '../../../platform/json/exact-json.js';
import { openSocket, type Payload } from '../protocol-client.js';
import { startScriptedGateway, type ScriptedGateway } from './scripted-subgraphs.js';

const big = '9007199254740993';
let gateway: ScriptedGateway;
/** Subscribe messages as the subgraph got them. */
const subscribed: string[] = [];
const sockets = new WebSocketServer({ noServer: true });

beforeAll(async () => {
  gateway = await startScriptedGateway({
    a: `scalar Long input In { n: Int! = 1 ids: [ID!] long: Long inner: In }
      type Query { by(id: Long): Int node(id: ID!): Int f(f: Float): Int in(i: In): Int n(n: Int): Int o: O }
      type O { n(n: Int! = 3): Int y: Int }
      type Mutation { set(i: In, n: Int! = 3): Int } type Subscription { on(id: ID, long: Long, n: Int! = 3): Int }`,
  });
  const data = { by: 1, node: 1, f: 1, in: 1, n: 1, set: 1, o: { n: 1, y: 1 } };
  gateway.scripts.set('a', () => ({ data }));
  gateway.server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, serve));
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  for (const socket of sockets.clients) socket.terminate();
  sockets.close();
});
beforeEach(() => {
  gateway.requests.length = 0;
  subscribed.length = 0;
});

function serve(socket: WebSocket): void {
  socket.on('message', (message: Buffer) => {
    const text = message.toString();
    const { type, id } = JSON.parse(text) as { type: string; id?: string };
    if (type === 'connection_init') socket.send('{"type":"connection_ack"}');
    if (type !== 'subscribe') return;
    subscribed.push(text);
    socket.send(JSON.stringify({ id, type: 'next', payload: { data: { on: 1 } } }));
    socket.send(JSON.stringify({ id, type: 'complete' }));
  });
}

interface Answered {
  readonly status: number | undefined;
  readonly answer: Payload;
}

type Transport = (query: string, variables: string) => Promise<Answered>;

const post =
  (accept: string): Transport =>
  async (query, variables) => {
    const response = await fetch(gateway.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: `{"query":${JSON.stringify(query)},"variables":${variables}}`,
    });
    const text = await response.text();
    const [, event = text] = /^data: (.*)$/m.exec(text) ?? [];
    return { status: text === event ? response.status : undefined, answer: JSON.parse(event) as Payload };
  };

const transports: readonly (readonly [string, Transport])[] = [
  ['POST', post('application/graphql-response+json')],
  [
    'GET',
    async (query, variables) => {
      const headers = { accept: 'application/graphql-response+json', 'apollo-require-preflight': '1' };
      const url = `${gateway.url}?${new URLSearchParams({ query, variables }).toString()}`;
      const response = await fetch(url, { headers });
      return { status: response.status, answer: (await response.json()) as Payload };
    },
  ],
  ['SSE', post('text/event-stream')],
  [
    'WebSocket',
    async (query, variables) => {
      const client = await openSocket(gateway.url, {});
      const payload = `{"query":${JSON.stringify(query)},"variables":${variables}}`;
      client.socket.send(`{"type":"subscribe","id":"1","payload":${payload}}`);
      try {
        const error = client.error('1').then((errors) => ({ errors }));
        error.catch(() => undefined);
        return { status: undefined, answer: await Promise.race([client.payload('1'), error]) };
      } finally {
        client.socket.close();
        await once(client.socket, 'close');
      }
    },
  ],
];

describe.each(transports)('over %s', (_name, send) => {
  test('a number keeps its digits, as a literal and as a variable', async () => {
    await send(`{ by(id: ${big}) node(id: ${big}) }`, '{}');
    await send('query ($id: Long, $n: ID!) { by(id: $id) node(id: $n) }', `{"id":${big},"n":-${big}}`);
    await send('query ($i: In) { in(i: $i) }', `{"i":{"inner":{"ids":[${big}],"long":{"a":[${big}]}}}}`);
    await send(`query ($id: Long = ${big}) { by(id: $id) }`, '{}');
    expect(gateway.requests.map(({ sent }) => exactJson(sent))).toEqual(
      [
        { query: `{by(id:${big})node(id:${big})}`, variables: {} },
        {
          query: 'query($id:Long$n:ID!){by(id:$id)node(id:$n)}',
          variables: { id: new LosslessNumber(big), n: `-${big}` },
        },
        {
          query: 'query($i:In){in(i:$i)}',
          variables: parseExactJson(`{"i":{"inner":{"ids":["${big}"],"long":{"a":[${big}]}}}}`),
        },
        { query: `query($id:Long=${big}){by(id:$id)}`, variables: {} },
      ].map((sent) => exactJson(sent)),
    );
  });

  test.each([
    ['{ f(f: 1e400) }', '{}', 'out of the range of a Float'],
    ['{ by(id: { a: [1e400] }) }', '{}', 'out of the range of a Float'],
    ['query ($f: Float = 1e400) { f(f: $f) }', '{}', 'out of the range of a Float'],
    ['query ($f: Float) { f(f: $f) }', '{"f":1e400}', 'out of the range of a Float'],
    ['query ($i: In) { in(i: $i) }', '{"i":{"long":[1e400]}}', 'out of the range of a Float'],
    ['query ($n: Int) { n(n: $n) }', `{"n":${big}}`, `Int cannot represent non 32-bit signed integer value: ${big}`],
    ['query ($b: Boolean = true) { o { y @include(if: $b) } }', '{"b":null}', 'Argument "if" of non-null type'],
    ['query ($b: Boolean = true) { o @skip(if: $b) { y } }', '{"b":null}', 'Argument "if" of non-null type'],
    ['query ($n: Int) { o { n(n: $n) } }', '{"n":null}', 'Argument "n" of non-null type "Int!" must not be null.'],
    ['query ($n: Int) { in(i: { n: $n }) }', '{"n":null}', 'Expected non-nullable type "Int!" not to be null.'],
    ['query ($i: In) { in(i: $i) }', '{"i":{"n":null}}', 'Expected non-nullable type "Int!" not to be null.'],
    ['{ by(id: { __proto__: { a: 1 } }) }', '{}', 'a member "__proto__", a name that is reserved'],
  ])('%s with %s is a request error, and reaches no subgraph', async (query, variables, message) => {
    const { status = 400, answer } = await send(query, variables);
    expect(answer.data).toBeUndefined();
    expect(answer.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    expect(answer.errors?.[0]?.message).toContain(message);
    expect(status).toBe(400);
    expect(gateway.requests).toEqual([]);
  });
});

test('numbers that differ in their last digit are asked for apart', async () => {
  const query = 'query ($id: Long) { by(id: $id) }';
  const [, send] = transports[0] as (typeof transports)[number];
  await Promise.all([send(query, `{"id":${big}}`), send(query, '{"id":9007199254740995}')]);
  const asked = gateway.requests.map(({ sent }) => exactJson(sent.variables)).sort();
  expect(asked).toEqual([`{"id":${big}}`, '{"id":9007199254740995}']);
});

test('a mutation is refused for a null as a query is', async () => {
  const [, send] = transports[0] as (typeof transports)[number];
  const { status, answer } = await send('mutation ($n: Int) { set(n: $n) }', '{"n":null}');
  expect(status).toBe(400);
  expect(answer.errors?.[0]?.message).toBe('Argument "n" of non-null type "Int!" must not be null.');
  expect((await send('mutation ($n: Int) { set(n: $n) }', '{}')).answer).toEqual({ data: { set: 1 } });
});

test('a subscription is sent the digits of its variables, their defaults and its literals', async () => {
  const [, send] = transports[3] as (typeof transports)[number];
  const text = `subscription ($id: ID = ${big}, $long: Long) { on(id: $id, long: $long) }`;
  expect((await send(text, `{"long":{"a":${big}}}`)).answer).toEqual({ data: { on: 1 } });
  expect((await send(`subscription { on(id: ${big}, long: [${big}]) }`, '{}')).answer).toEqual({ data: { on: 1 } });
  expect(subscribed[0]).toContain(`"variables":{"id":"${big}","long":{"a":${big}}}`);
  expect(subscribed[1]).toContain(`on(id:${big} long:[${big}])`);
});

test('the payload of a ping comes back as it was sent', async () => {
  const client = await openSocket(gateway.url, {});
  const answered = once(client.socket, 'message');
  client.socket.send(`{"type":"ping","payload":{"at":${big}}}`);
  expect(String((await answered)[0])).toBe(`{"type":"pong","payload":{"at":${big}}}`);
  client.socket.close();
});

test.each([
  ['{"n":null}', 'Argument "n" of non-null type "Int!" must not be null.'],
  [`{"n":${big}}`, `Int cannot represent non 32-bit signed integer value: ${big}`],
  ['{"n":1e400}', 'out of the range of a Float'],
])('a subscription with %s is refused', async (variables, message) => {
  const [, send] = transports[3] as (typeof transports)[number];
  const { answer } = await send('subscription ($n: Int) { on(n: $n) }', variables);
  expect(answer.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  expect(answer.errors?.[0]?.message).toContain(message);
  expect(subscribed).toEqual([]);
});
