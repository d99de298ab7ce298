/**
 * The contract of request admission, for every form of request over HTTP, and for WebSockets where
 * it applies: names of operations, parameters, tokens, and one look-up a request.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually, within } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { codeOf, requestForms, sendAs, type RequestForm } from './request-forms.js';
import { update } from './stream-world.js';

const summary = 'query Summary { fleet { devices } }';
const watch = 'subscription Watch { deviceState(deviceId: "boiler") { cursor } }';
const data = { fleet: { devices: 2 } };
const firstState = { deviceState: { cursor: 'cursor-1' } };

let directory: string;
let world: GatewayWorld;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-operations-'));
  await writeFile(join(directory, 'relay.json'), JSON.stringify({ summary, watch }));
  world = await startGateway({ settings: { GATEWAY_PERSISTED_OPERATIONS: directory, GATEWAY_MAX_BATCH: '2' } });
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
  world.subgraphs.live.snapshot = () => update(1);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});
beforeEach(() => void (world.subgraphs.seen.length = 0));
afterEach(() => eventually(() => expect(world.subgraphs.live.open).toEqual([])));

const hashOf = (text: string) => createHash('sha256').update(text).digest('hex');
const persisted = (sha256Hash: string) => ({ extensions: { persistedQuery: { version: 1, sha256Hash } } });
let texts = 0;
/** A text that the gateway has not seen. */
const unseen = (text: string) => `${text} # ${(texts += 1)}`;

const lookups = async (): Promise<number> => {
  const { values } = (await world.metrics.getSingleMetric('fleetgraph_gateway_cache_lookups_total')?.get()) ?? {
    values: [],
  };
  return values
    .filter(({ labels }) => (labels as { cache?: string }).cache === 'operations')
    .reduce((sum, { value }) => sum + value, 0);
};

/** Each form with a query and, if it streams, with a subscription. */
const uses: readonly (readonly [string, RequestForm, { text: string; id: string; expected: object }])[] =
  requestForms.flatMap((form) => [
    [`a query over ${form.name}`, form, { text: summary, id: 'summary', expected: data }] as const,
    ...(form.streams
      ? [[`a subscription over ${form.name}`, form, { text: watch, id: 'watch', expected: firstState }] as const]
      : []),
  ]);

describe.each(uses)('%s', (_name, form, { text, id, expected }) => {
  const isSubscription = id === 'watch';

  test('runs by its text, and is looked up once', async () => {
    const query = unseen(text);
    for (const times of [1, 2, 3]) {
      const before = await lookups();
      const { status, data: given } = await sendAs(world, form, { query });
      expect([status, given, times]).toEqual([200, expected, times]);
      expect(await lookups()).toBe(before + 1);
    }
  });

  test('runs by its hash once the text came with it', async () => {
    const query = unseen(text);
    const unknown = await sendAs(world, form, persisted(hashOf(query)));
    expect([unknown.status, unknown.errors]).toEqual([
      200,
      [{ message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }],
    ]);
    expect(unknown.data).toBeUndefined();
    expect((await sendAs(world, form, { query, ...persisted(hashOf(query)) })).data).toEqual(expected);
    expect((await sendAs(world, form, persisted(hashOf(query)))).data).toEqual(expected);
    const other = await sendAs(world, form, { query, ...persisted(hashOf('{ another }')) });
    expect([other.status, codeOf(other), other.errors[0]?.message]).toEqual([
      400,
      'BAD_USER_INPUT',
      expect.stringContaining('SHA-256'),
    ]);
  });

  test.each(['documentId', 'doc_id', 'id'])('runs by its id in a manifest, as "%s"', async (name) => {
    expect((await sendAs(world, form, { [name]: id })).data).toEqual(expected);
    expect((await sendAs(world, form, persisted(id))).data).toEqual(expected);
    const unknown = await sendAs(world, form, { [name]: 'another' });
    expect([unknown.status, codeOf(unknown)]).toEqual([404, 'NOT_FOUND']);
    expect(unknown.errors[0]?.message).toContain('another');
  });

  test('runs by its name among several', async () => {
    const query = `query Other { fleet { online } } ${text}`;
    const operationName = isSubscription ? 'Watch' : 'Summary';
    expect((await sendAs(world, form, { query, operationName })).data).toEqual(expected);
    for (const wrong of [{ query }, { query, operationName: 'Nobody' }])
      expect(codeOf(await sendAs(world, form, wrong))).toBe('BAD_USER_INPUT');
  });

  test.each([
    ['no operation', {}],
    ['an empty text', { query: '' }],
    ['extensions that are no object', { query: text, extensions: 5 }],
    ['variables that are no object', { query: text, variables: [1] }],
    ['a hash of no known version', { query: text, extensions: { persistedQuery: { version: 2, sha256Hash: 'x' } } }],
    ['variables in too many levels', { query: text, variables: { a: nested(200) } }],
  ])('is refused with 400 for %s', async (_what, parameters) => {
    const refused = await sendAs(world, form, parameters);
    expect([refused.status, codeOf(refused)]).toEqual([400, 'BAD_USER_INPUT']);
    expect(refused.type).toContain('json');
  });

  test('is refused with 400 for variables that would change prototypes, and for what is no JSON', async () => {
    const variables = '{"a":{"__proto__":{"b":1}}}';
    const quoted = JSON.stringify(text);
    const faults =
      form.method === 'POST'
        ? [`{"query":${quoted},"variables":${variables}}`, `{"query":${quoted},"variables":{`, '{"query":7}', '"text"']
        : [
            new URLSearchParams({ query: text, variables }).toString(),
            new URLSearchParams({ query: text, variables: '{' }).toString(),
            new URLSearchParams([
              ['query', text],
              ['query', text],
            ]).toString(),
          ];
    for (const fault of faults) {
      const refused = await sendAs(world, form, fault);
      expect([fault, refused.status, codeOf(refused)]).toEqual([fault, 400, 'BAD_USER_INPUT']);
    }
  });

  test('is refused with 401 without a good token, before its text is looked at', async () => {
    const before = await lookups();
    const refused = await sendAs(world, form, { query: text }, { token: 'nonsense' });
    expect([refused.status, codeOf(refused), refused.type]).toEqual([
      401,
      'UNAUTHENTICATED',
      expect.stringMatching(/json$/),
    ]);
    expect(await lookups()).toBe(before);
  });

  test('gets the validation errors, with one look-up', async () => {
    const before = await lookups();
    const refused = await sendAs(world, form, { query: `${isSubscription ? 'subscription' : 'query'} { nothing }` });
    expect([codeOf(refused), refused.data, refused.errors.length]).toEqual(['BAD_USER_INPUT', undefined, 1]);
    expect(await lookups()).toBe(before + 1);
  });
});

describe.each(requestForms.map((form) => [form.name, form] as const))('%s', (_name, form) => {
  test(`a query is answered with ${form.answersWith}`, async () => {
    const { type, errors } = await sendAs(world, form, { query: summary });
    expect([type, errors]).toEqual([form.answersWith, []]);
  });

  test('a mutation runs by POST alone', async () => {
    const query = 'mutation { updateDevice(input: { id: "boiler", name: "Boiler 1" }) { consistencyToken } }';
    const outcome = await sendAs(world, form, { query });
    if (form.method === 'POST') {
      expect(outcome.data).toEqual({ updateDevice: { consistencyToken: 'after-update' } });
      return;
    }
    expect(codeOf(outcome)).toBe('BAD_USER_INPUT');
    expect(world.subgraphs.seen).toEqual([]);
    if (outcome.type !== 'text/event-stream')
      expect([outcome.status, outcome.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test('has its cost in the extensions if the request asks for it', async () => {
    const { extensions } = await sendAs(world, form, { query: summary, extensions: { cost: true } });
    expect(extensions).toMatchObject({ cost: { estimated: 1 } });
  });
});

describe.each(requestForms.filter(({ method }) => method === 'POST').map((form) => [form.name, form] as const))(
  'a batch over %s',
  (_name, { accept, answersWith }) => {
    const post = async (batch: readonly object[]) => {
      const response = await fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: {
          accept,
          'content-type': 'application/json',
          authorization: `Bearer ${await world.issuer.token('acme')}`,
        },
        body: JSON.stringify(batch),
      });
      return { status: response.status, answer: await response.json() };
    };
    const takesJson = answersWith !== 'text/event-stream';

    test(takesJson ? 'is answered in its order' : 'is 406: its answer is JSON', async () => {
      const { status, answer } = await post([{ documentId: 'summary' }, { query: watch }]);
      expect(status).toBe(takesJson ? 200 : 406);
      if (takesJson) expect(answer).toMatchObject([{ data }, { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] }]);
    });

    test('is refused beyond its bound', async () => {
      const { status } = await post(Array.from({ length: 3 }, () => ({ documentId: 'summary' })));
      expect(status).toBe(takesJson ? 400 : 406);
    });
  },
);

describe('a WebSocket', () => {
  test('looks each operation up once, and runs the one of several that is named', async () => {
    const client = await world.socket();
    for (const [id, text, expected] of [
      ['q', summary, data],
      ['s', watch, firstState],
    ] as const) {
      const before = await lookups();
      client.subscribe(id, unseen(`query Other { fleet { online } } ${text}`), {}, id === 'q' ? 'Summary' : 'Watch');
      expect(await client.payload(id)).toEqual({ data: expected });
      expect(await lookups()).toBe(before + 1);
    }
    await world.disconnect();
  });

  test('counts no use of the operation when a new token has other scopes', async () => {
    const client = await world.socket();
    client.subscribe('s', unseen(watch));
    await client.payload('s');
    const before = await lookups();
    const token = await world.issuer.token('acme', ['device:read', 'telemetry:read']);
    client.send({ type: 'ping', payload: { authorization: `Bearer ${token}` } });
    await eventually(() => expect(client.frames.map(({ type }) => type)).toContain('pong'));
    expect(await lookups()).toBe(before);
    expect(client.types('s')).not.toContain('error');
    await world.disconnect();
  });

  test.each([
    ['a hash alone', persisted(hashOf(summary))],
    ['an id alone', { documentId: 'summary' }],
    ['extensions that are no object', { query: summary, extensions: 5 }],
    ['variables that are no object', { query: summary, variables: 'x' }],
    ['variables in too many levels', { query: summary, variables: { a: nested(200) } }],
  ])('closes with 4400 for %s', async (_what, payload) => {
    const client = await world.socket();
    client.send({ type: 'subscribe', id: 'x', payload });
    expect((await within(client.closed, 5_000, 'closing')).code).toBe(4400);
  });
});

function nested(levels: number): object {
  return levels === 0 ? {} : { a: nested(levels - 1) };
}
