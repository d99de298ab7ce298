/** Numbers, nulls and texts that clients send to the own graph: kept as they are, or refused with what to do. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import {
  startPlatform,
  topic,
  type GraphQLResponse,
  type RegisteredDevice,
  type TestPlatform,
} from '../world/platform.js';

const big = '9007199254740993';
let platform: TestPlatform;
let device: RegisteredDevice;
let token: string;
/** What the device was sent, as JSON. */
const told: string[] = [];

beforeAll(async () => {
  platform = await startPlatform();
  token = await platform.token('acme');
  device = await platform.registerDevice({ name: 'Boiler' });
  const client = await platform.connect(device);
  client.on('message', (_topic, payload) => told.push(payload.toString()));
  await client.subscribeAsync(topic(device, 'command'), { qos: 1 });
});
afterAll(() => platform[Symbol.asyncDispose]());

/** @param variables JSON, as it is written. */
async function ask(
  query: string,
  variables = '{}',
): Promise<GraphQLResponse<Record<string, never>> & { readonly status: number }> {
  const response = await fetch(`${platform.gateway}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      authorization: `Bearer ${token}`,
    },
    body: `{"query":${JSON.stringify(query)},"variables":${variables}}`,
  });
  return { status: response.status, ...((await response.json()) as GraphQLResponse<Record<string, never>>) };
}

const send =
  'mutation ($p: JSON) { sendCommand(input: { deviceId: "ID", name: "turn", parameters: $p }) { command { id } } }';
const desire = 'mutation ($p: JSON!) { setDesiredState(input: { id: "ID", desired: $p }) { device { id } } }';
const rounded = `is the number ${big}, which can not be kept with all its digits. Send it as a string.`;
const written = `the number ${big}, which can not be kept with all its digits. Send it as a string.`;
const unstorable = "has the character U+0000 or half of a surrogate pair, which can't be stored.";
const rule =
  'mutation ($name: String!, $when: String!) { createRule(input: { name: $name, condition: { when: $when } }) { rule { id } } }';

test.each([
  ['parameters with a number that is rounded', send, `{"p":{"y":[1,${big}]}}`, `p.y[1] ${rounded}`],
  ['such parameters as a literal', send.replace('$p }', `{ y: ${big} } }`).replace('($p: JSON) ', ''), '{}', written],
  ['such parameters as a default', send.replace('JSON', `JSON = { y: ${big} }`), '{}', written],
  ['a desired state with one', desire, `{"p":{"y":${big}}}`, `p.y ${rounded}`],
  ['parameters with 1e400', send, '{"p":{"y":1e400}}', 'out of the range of a Float'],
  ['1e400 as a literal', send.replace('$p }', '{ y: 1e400 } }').replace('($p: JSON) ', ''), '{}', 'out of the range'],
  [
    'a threshold that is not finite',
    '{ testRule(input: { deviceId: "ID", from: "2026-11-30T00:00:00Z", condition: { when: "t", terms: [{ name: "t", threshold: { metric: "m", raiseAbove: 1e999, clearBelow: 1 } }] } }) { faults } }',
    '{}',
    'out of the range of a Float',
  ],
  [
    'a member __proto__',
    send.replace('$p }', '{ __proto__: { a: 1 } } }').replace('($p: JSON) ', ''),
    '{}',
    'reserved',
  ],
  ['the same as JSON', send, '{"p":{"__proto__":{"a":1}}}', 'a member "__proto__", a name that is reserved'],
  [
    'null for a field with a default',
    'mutation ($k: MetricKind) { defineDeviceType(input: { id: "x", name: "x", metrics: [{ name: "a", kind: $k }] }) { deviceType { id } } }',
    '{"k":null}',
    'Expected non-nullable type "MetricKind!" not to be null.',
  ],
  [
    'null for @include',
    'query ($b: Boolean = true) { fleet @include(if: $b) { devices } }',
    '{"b":null}',
    'must not be null',
  ],
  [
    'null for @skip',
    'query ($b: Boolean = true) { fleet { devices @skip(if: $b) } }',
    '{"b":null}',
    'must not be null',
  ],
  [
    'a time that is none',
    'query ($at: DateTime!) { device(id: "ID") { telemetry(metric: "m", from: $at) { points { at } } } }',
    '{"at":"nonsense"}',
    'DateTime cannot represent',
  ],
  [
    'a key with NUL',
    send.replace('deviceId', 'idempotencyKey: "a\\u0000", deviceId'),
    '{}',
    `input.idempotencyKey ${unstorable}`,
  ],
  ["a rule's name with NUL", rule, '{"name":"a\\u0000","when":"t"}', `input.name ${unstorable}`],
  ['a condition with NUL', rule, '{"name":"a","when":"a\\u0000"}', `input.condition.when ${unstorable}`],
  [
    'a filter with NUL',
    '{ commands(filter: { deviceId: "\\u0000" }) { edges { cursor } } }',
    '{}',
    `filter.deviceId ${unstorable}`,
  ],
  [
    'a filter of dead letters',
    '{ deadLetters(filter: { consumer: "a\\u0000" }) { edges { cursor } } }',
    '{}',
    `filter.consumer ${unstorable}`,
  ],
  [
    'half of a surrogate pair',
    'mutation ($d: String) { createWebhook(input: { url: "https://example.com/", description: $d, eventTypes: [] }) { webhook { id } } }',
    '{"d":"\\ud800"}',
    `input.description ${unstorable}`,
  ],
])('%s: BAD_USER_INPUT', async (_what, query, variables, message) => {
  const { data, errors } = await ask(query.replace('ID', device.id), variables);
  expect(errors, JSON.stringify({ data, errors })).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  expect(errors?.[0]?.message).toContain(message);
});

test('what comes as a string gets to the device as it is; nothing that was refused got there', async () => {
  const { errors } = await ask(send.replace('ID', device.id), `{"p":{"y":"${big}","z":9007199254740992}}`);
  expect(errors).toBeUndefined();
  await eventually(() => expect(told).toHaveLength(1));
  expect(told[0]).toContain(`{"y":"${big}","z":9007199254740992}`);
});

test('an id may be given as a number of any size', async () => {
  for (const query of [`{ device(id: ${big}) { id } }`, 'query ($id: ID!) { device(id: $id) { id } }'])
    expect(await ask(query, `{"id":${big}}`)).toEqual({ status: 200, data: { device: null } });
});

test('an empty page has no edges, and tells the rest', async () => {
  const info = 'edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }';
  const lists = [
    'commands',
    'deadLetters',
    'webhooks',
    'deliveries',
    'rules',
    'alerts',
    'commandJobs',
    'deviceTypes',
    'events',
  ];
  const { data, errors } = await ask(
    `query ($n: Int = 0) { devices(first: $n) { ${info} totalCount } ${lists.map((list) => `${list}(first: 0) { ${info} }`).join(' ')} }`,
  );
  expect(errors).toBeUndefined();
  const nothing = { hasPreviousPage: false, startCursor: null, endCursor: null };
  expect(data?.['devices']).toEqual({ edges: [], pageInfo: { ...nothing, hasNextPage: true }, totalCount: 1 });
  for (const list of lists) expect(data?.[list], list).toMatchObject({ edges: [], pageInfo: nothing });
  expect(data?.['webhooks']).toMatchObject({ pageInfo: { hasNextPage: false } });
  expect((await ask('{ devices(first: -1) { totalCount } }')).errors?.[0]?.message).toContain('from 0 to 200');
});
