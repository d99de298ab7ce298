/** Telemetry over HTTP: an answer for each line, the same checks and the same promise as over MQTT. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeEvent } from '../../../backbone/events/envelope.js';
import { eventually, within } from '../../world/eventually.js';
import { createBridgeWorld, type BridgeWorld } from '../bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld({ INGEST_MAX_BODY_BYTES: '500000' });
  world.device('one');
  world.device('two');
  world.device('retired', { active: false });
  world.device('foreign', { tenant: 'rival' });
});
afterAll(() => world[Symbol.asyncDispose]());

interface Answer {
  readonly accepted?: number;
  readonly rejected?: number;
  readonly results?: readonly { readonly line: number; readonly status: string; readonly reason?: string }[];
  readonly error?: { readonly code: string; readonly message: string };
}

async function post(
  body: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; answer: Answer }> {
  const response = await world.http('/ingest/v1/telemetry', {
    method: 'POST',
    headers: { authorization: `Bearer ${await world.token('acme')}`, 'content-type': 'application/json', ...headers },
    body,
  });
  return { status: response.status, headers: response.headers, answer: (await response.json()) as Answer };
}
const ndjson = { 'content-type': 'application/x-ndjson' };
const basic = (user: string, password: string) => ({ authorization: `Basic ${btoa(`${user}:${password}`)}` });
const storedOf = async (id: string) =>
  (await world.eventsOf('io.fleetgraph.telemetry.received.v1')).filter(({ subject }) => subject === id);

test('an array is answered line by line: what was accepted is stored, the rest says why not', async () => {
  const { status, answer } = await post(
    JSON.stringify([
      { deviceId: 'one', ts: Date.now(), values: { temperature: 1 } },
      { deviceId: 'nobody', temperature: 1 },
      { deviceId: 'one', temperature: 'x'.repeat(2_000) },
      { temperature: 1 },
      { deviceId: 'two', temperature: 2 },
      { deviceId: 'retired', temperature: 2 },
      { deviceId: 'foreign', temperature: 2 },
      'text',
    ]),
  );
  expect(status).toBe(200);
  expect(answer).toMatchObject({ accepted: 2, rejected: 6 });
  expect(answer.results?.map(({ line, reason }) => [line, reason])).toEqual([
    [1, undefined],
    [2, 'unknown_device'],
    [3, 'text_too_long'],
    [4, 'wrong_shape'],
    [5, undefined],
    [6, 'unknown_device'],
    [7, 'unknown_device'],
    [8, 'wrong_shape'],
  ]);
  expect((await storedOf('one')).map(({ data, tenant }) => [tenant, data.readings[0]?.value])).toEqual([['acme', 1]]);
  expect(await storedOf('foreign')).toEqual([]);
});

test('NDJSON: a line that is malformed spoils no other', async () => {
  const { status, answer } = await post('{"deviceId":"two","a":1}\n{oops\n\n{"deviceId":"two","a":2}\n', ndjson);
  expect(status).toBe(200);
  expect(answer.results).toMatchObject([
    { line: 1, status: 'accepted' },
    { line: 2, status: 'rejected', reason: 'malformed_json' },
    { line: 3, status: 'accepted' },
  ]);
});

test('one object is one line; a body of which nothing was accepted is 400', async () => {
  expect((await post('{"deviceId": "one", "b": true}')).answer).toMatchObject({ accepted: 1 });
  const { status, answer } = await post('{"deviceId": "nobody", "b": true}');
  expect(status).toBe(400);
  expect(answer).toMatchObject({ accepted: 0, rejected: 1 });
});

test('the lines of one device are stored in their order', async () => {
  const device = world.device('sequence');
  const lines = Array.from({ length: 500 }, (_unused, n) => JSON.stringify({ deviceId: device.deviceId, n })).join(
    '\n',
  );
  expect((await post(lines, ndjson)).answer.accepted).toBe(500);
  expect((await storedOf('sequence')).map(({ data }) => data.readings[0]?.value)).toEqual(
    Array.from({ length: 500 }, (_unused, n) => n),
  );
});

test('a device sends for itself with its own credentials, and for no other', async () => {
  const { status, answer } = await post(
    '[{"c": 1}, {"deviceId": "one", "c": 2}, {"deviceId": "two", "c": 3}]',
    basic('one', 'secret'),
  );
  expect(status).toBe(200);
  expect(answer.results?.map((result) => result.reason)).toEqual([undefined, undefined, 'unknown_device']);
});

test.each<[string, Record<string, string>, number, string]>([
  ['no credentials', { authorization: '' }, 401, 'UNAUTHENTICATED'],
  ['a bad token', { authorization: 'Bearer nonsense' }, 401, 'UNAUTHENTICATED'],
  ['a wrong password', basic('one', 'guess'), 401, 'UNAUTHENTICATED'],
  ['a decommissioned device', basic('retired', 'secret'), 401, 'UNAUTHENTICATED'],
])('%s is %i', async (_what, headers, status, code) => {
  const { status: got, answer } = await post('{"deviceId": "one", "d": 1}', headers);
  expect(got).toBe(status);
  expect(answer.error?.code).toBe(code);
});

test('passwords that are guessed in parallel are refused unseen beyond a few, and say when to come back', async () => {
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_unused, guess) => post('{"d": 1}', basic('two', `guess-${guess}`))),
  );
  const limited = answers.filter(({ status }) => status === 429);
  expect(answers.filter(({ status }) => status === 401).length + limited.length).toBe(60);
  expect(limited.length).toBeGreaterThanOrEqual(35);
  expect(limited[0]?.answer.error?.code).toBe('RATE_LIMITED');
  expect(limited[0]?.headers.get('retry-after')).toBe('5');
  // Another device at the same address is not affected.
  expect((await post('{"d": 1}', basic('one', 'secret'))).status).toBe(200);
});

test('a token without telemetry:write is FORBIDDEN', async () => {
  const { status, answer } = await post('{"deviceId": "one", "d": 1}', {
    authorization: `Bearer ${await world.token('acme', ['device:read'])}`,
  });
  expect([status, answer.error?.code]).toEqual([403, 'FORBIDDEN']);
});

test.each<[string, string, Record<string, string>, number, string]>([
  ['an empty body', '', ndjson, 400, 'BAD_USER_INPUT'],
  ['an empty array', '[]', {}, 400, 'BAD_USER_INPUT'],
  ['what is not JSON', '{"deviceId"', {}, 400, 'BAD_USER_INPUT'],
  ['a body that is too large', `"${'x'.repeat(500_001)}"`, {}, 413, 'PAYLOAD_TOO_LARGE'],
  ['too many lines', '1\n'.repeat(10_001), ndjson, 413, 'PAYLOAD_TOO_LARGE'],
  ['another content type', 'a,b', { 'content-type': 'text/csv' }, 400, 'BAD_USER_INPUT'],
])('%s is refused as a whole', async (_what, body, headers, status, code) => {
  const { status: got, answer } = await post(body, headers);
  expect([got, answer.error?.code]).toEqual([status, code]);
  expect(answer.error?.message.length).toBeGreaterThan(10);
});

test('a line that is too large is refused alone', async () => {
  const { answer } = await post(
    JSON.stringify([
      { deviceId: 'one', t: 'x'.repeat(70_000) },
      { deviceId: 'one', t: 1 },
    ]),
  );
  expect(answer.results?.map((result) => result.reason)).toEqual(['payload_too_large', undefined]);
});

test('a line that is nested too deep is refused alone', async () => {
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  const { status, answer } = await post(`[{"deviceId": "one", "a": ${deep}}, {"deviceId": "one", "t": 1}]`);
  expect(status).toBe(200);
  expect(answer.results?.map((result) => result.status)).toEqual(['rejected', 'accepted']);
});

test('when devices can not be looked up, the answer is 503 with Retry-After', async () => {
  world.device('unseen');
  world.directoryFailure = new Error('database away');
  const { status, headers, answer } = await post('{"deviceId": "unseen", "e": 1}');
  world.directoryFailure = undefined;
  expect([status, answer.error?.code]).toEqual([503, 'UNAVAILABLE']);
  expect(headers.get('retry-after')).toBe('1');
});

test('a request is not answered before its lines are durable', async () => {
  const client = await world.database.pool.connect();
  await client.query('BEGIN');
  await client.query('LOCK TABLE bus.records IN ACCESS EXCLUSIVE MODE');
  let answered = false;
  const posting = post('{"deviceId": "one", "f": 1}').finally(() => (answered = true));
  await eventually(async () => {
    const { rows } = await world.database.pool.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    expect(rows.length).toBeGreaterThan(0);
  });
  expect(answered).toBe(false);
  await client.query('ROLLBACK');
  client.release();
  expect((await within(posting, 10_000, 'the answer')).answer).toMatchObject({ accepted: 1 });
});

test('a device that is decommissioned is refused at once, though it was known a moment ago', async () => {
  const device = world.device('soon-gone');
  expect((await post('{"deviceId": "soon-gone", "g": 1}')).answer.accepted).toBe(1);
  world.device('soon-gone', { active: false });
  await world.relay(
    makeEvent({
      type: 'io.fleetgraph.device.decommissioned.v1',
      source: '/device',
      subject: device.deviceId,
      tenant: 'acme',
      data: { deviceId: device.deviceId },
    }),
  );
  await eventually(
    async () => expect((await post('{"deviceId": "soon-gone", "g": 2}')).answer.accepted).toBe(0),
    5_000,
  );
});
