/** The graph over HTTP: who is let in, what is passed on, how errors look, and what pages of other origins may do. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { FleetgraphError } from '../../../platform/errors.js';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { startTracing } from '../../../platform/observability/tracing.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import type { Payload } from '../protocol-client.js';

let world: GatewayWorld;
beforeAll(async () => {
  await startTracing();
  world = await startGateway();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.subgraphs.failures.clear();
  world.subgraphs.seen.length = 0;
  world.subgraphs.devices.set('acme', [
    { id: 'boiler', name: 'Boiler 1' },
    { id: 'pump', name: 'Pump' },
  ]);
});

async function post(
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; headers: Headers; answer: Payload }> {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, answer: (await response.json()) as Payload };
}
const bearer = async (tenant = 'acme') => ({ authorization: `Bearer ${await world.issuer.token(tenant)}` });

test('one operation is answered by three subgraphs', async () => {
  expect(
    await world.ask('{ device(id: "boiler") { name presence { online } commands { edges { node { id name } } } } }'),
  ).toEqual({
    data: {
      device: {
        name: 'Boiler 1',
        presence: { online: true },
        commands: { edges: [{ node: { id: 'command-of-boiler', name: 'setpoint' } }] },
      },
    },
  });
});

test('a list is joined with one request to each subgraph, however long it is', async () => {
  await world.ask('{ devices { edges { node { id name presence { online } } } } }');
  expect(world.subgraphs.seen.map(({ subgraph }) => subgraph).sort()).toEqual(['device', 'query']);
});

test('token, consistency token, trace and correlation id reach each subgraph', async () => {
  const headers = {
    ...(await bearer()),
    'x-fleetgraph-consistency': consistencyTokenOf('018f0000-0000-7000-8000-000000000001'),
    'x-correlation-id': 'order-42',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  };
  await post({ query: '{ device(id: "boiler") { name presence { online } } }' }, headers);
  expect(world.subgraphs.seen).toHaveLength(2);
  for (const seen of world.subgraphs.seen) {
    expect(seen.headers).toMatchObject({
      authorization: headers.authorization,
      'x-fleetgraph-consistency': headers['x-fleetgraph-consistency'],
      'x-correlation-id': 'order-42',
    });
    // Without a collector there is no span of the gateway between the client's and the subgraph's.
    expect(seen.headers['traceparent']).toBe('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
  }
});

test('headers that are not meant for subgraphs stay here', async () => {
  await post({ query: '{ fleet { devices } }' }, { ...(await bearer()), cookie: 'a=b', 'x-auth-tenant': 'rival' });
  const [seen] = world.subgraphs.seen;
  expect(seen?.headers).not.toHaveProperty('cookie');
  expect(seen?.headers).not.toHaveProperty('x-auth-tenant');
});

test('a mutation runs once and its answer is joined', async () => {
  expect(
    await world.ask(
      'mutation { updateDevice(input: { id: "pump", name: "Pump 2" }) { consistencyToken device { name presence { online } } } }',
    ),
  ).toEqual({
    data: {
      updateDevice: { consistencyToken: 'after-update', device: { name: 'Pump 2', presence: { online: true } } },
    },
  });
});

test('without a token there is nothing but 401 and the code', async () => {
  const { status, answer } = await post({ query: '{ fleet { devices } }' });
  expect(status).toBe(401);
  expect(answer).toEqual({
    errors: [{ message: 'Send "Authorization: Bearer <token>".', extensions: { code: 'UNAUTHENTICATED' } }],
  });
  expect(world.subgraphs.seen).toEqual([]);
});

test.each([
  ['not a token', 'Bearer nonsense'],
  ['another scheme', 'Basic YTpi'],
  [
    'no signature',
    `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"tenant":"acme"}').toString('base64url')}.`,
  ],
])('%s is 401', async (_what, authorization) => {
  const { status, answer } = await post({ query: '{ fleet { devices } }' }, { authorization });
  expect(status).toBe(401);
  expect(answer.errors?.[0]?.extensions).toEqual({ code: 'UNAUTHENTICATED' });
});

test('an expired token is 401', async () => {
  const authorization = `Bearer ${await world.issuer.token('acme', undefined, -120)}`;
  const { status } = await post({ query: '{ fleet { devices } }' }, { authorization });
  expect(status).toBe(401);
});

test.each([
  ['a syntax error', '{ device(', {}],
  ['an unknown field', '{ device(id: "a") { nothing } }', {}],
  ['a missing variable', 'query Q($id: ID!) { device(id: $id) { id } }', {}],
  ['a variable of the wrong type', 'query Q($id: ID!) { device(id: $id) { id } }', { id: { a: 1 } }],
  [
    'a nesting that is too deep',
    `{ ${'device(id: "a") { commands { edges { node { '.repeat(4)} id ${'} } } }'.repeat(4)} }`,
    {},
  ],
])('%s is BAD_USER_INPUT with status 400, and reaches no subgraph', async (_what, query, variables) => {
  const { status, answer } = await post({ query, variables }, await bearer());
  expect(status).toBe(400);
  expect(answer.data ?? null).toBeNull();
  expect(answer.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  expect(world.subgraphs.seen).toEqual([]);
});

test('an operation of too many tokens is refused before it is understood', async () => {
  const query = `{ ${Array.from({ length: 4_000 }, (_unused, index) => `a${index}: fleet { devices }`).join(' ')} }`;
  const { status, answer } = await post({ query }, await bearer());
  expect(status).toBe(400);
  expect(answer.errors?.[0]).toMatchObject({
    message: expect.stringContaining('15000 tokens') as string,
    extensions: { code: 'BAD_USER_INPUT' },
  });
});

test('what is not JSON, or not an operation, is refused with a reason', async () => {
  for (const body of ['{', '[]', '"x"', '{"query": 3}']) {
    const { status } = await post(body, await bearer());
    expect(status, body).toBe(400);
  }
});

test('an error of a subgraph comes with its code, its field and its place', async () => {
  const answer = await world.ask(
    'mutation { updateDevice(input: { id: "pump", name: "x", expectedRevision: 7 }) { device { id } } }',
  );
  expect(answer.errors).toEqual([
    {
      message: 'The device has revision 1.',
      path: ['updateDevice'],
      extensions: { code: 'CONFLICT', field: 'input.expectedRevision' },
    },
  ]);
});

test('what goes wrong inside a subgraph stays inside', async () => {
  world.subgraphs.failures.set('boiler', new Error('password authentication failed for user "fleetgraph"'));
  const answer = await world.ask('{ device(id: "boiler") { name } }');
  expect(answer).toEqual({
    data: { device: null },
    errors: [
      {
        message: 'Something went wrong inside the subgraph "device". The log has the cause.',
        path: ['device'],
        extensions: { code: 'INTERNAL_SERVER_ERROR' },
      },
    ],
  });
});

test('a literal that only its subgraph can refuse is reported at each field that is null because of it', async () => {
  const answer = await world.ask(
    '{ device(id: "boiler") { name } fleet { devices } log: events(filter: { from: "soon" }) { edges { cursor } } }',
  );
  expect(answer.data).toBeNull();
  expect(answer.errors).toMatchObject(
    ['fleet', 'log'].map((field) => ({ path: [field], extensions: { code: 'BAD_USER_INPUT' } })),
  );
});

test('a scope that is missing is FORBIDDEN for its field, and the others answer', async () => {
  const authorization = `Bearer ${await world.issuer.token('acme', ['device:read'])}`;
  const { answer } = await post(
    { query: '{ device(id: "boiler") { name } command(id: "c") { id } }' },
    { authorization },
  );
  expect(answer.data).toEqual({ device: { name: 'Boiler 1' }, command: null });
  expect(answer.errors).toMatchObject([{ path: ['command'], extensions: { code: 'FORBIDDEN' } }]);
});

test('a subgraph that is gone costs its own fields, with their path, and is back when it is back', async () => {
  const query = '{ device(id: "boiler") { name commands { edges { cursor } } } }';
  await world.subgraphs.actions.stop();
  try {
    const answer = await world.ask(query);
    // `commands` may not be null, so the null goes up to the next field that may.
    expect(answer.data).toEqual({ device: null });
    expect(answer.errors).toEqual([
      {
        message: 'The subgraph "actions" does not answer. The same request may be retried.',
        path: ['device', 'commands'],
        extensions: { code: 'UNAVAILABLE' },
      },
    ]);
    expect(await world.ask('{ fleet { devices } }')).toEqual({ data: { fleet: { devices: 2 } } });
  } finally {
    await world.subgraphs.actions.start();
  }
  expect(await world.ask(query)).toEqual({
    data: { device: { name: 'Boiler 1', commands: { edges: [{ cursor: 'c' }] } } },
  });
});

test('a request that a page of another site could send without asking is refused', async () => {
  const query = encodeURIComponent('mutation { updateDevice(input: { id: "pump", name: "Evil" }) { device { id } } }');
  const attempts: [string, RequestInit][] = [
    [`?query=${query}`, { headers: await bearer() }],
    [
      '',
      {
        method: 'POST',
        body: '{"query":"{ __typename }"}',
        headers: { 'content-type': 'text/plain', ...(await bearer()) },
      },
    ],
    [
      '',
      {
        method: 'POST',
        body: 'query=x',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...(await bearer()) },
      },
    ],
  ];
  for (const [search, init] of attempts) {
    const response = await fetch(`${world.url}/graphql${search}`, init);
    expect([400, 405, 415]).toContain(response.status);
  }
  expect(world.subgraphs.seen).toEqual([]);
});

test('a query by GET works for clients that show they are no mere page', async () => {
  const response = await fetch(`${world.url}/graphql?query=${encodeURIComponent('{ fleet { online } }')}`, {
    headers: { ...(await bearer()), 'apollo-require-preflight': 'true' },
  });
  expect(await response.json()).toEqual({ data: { fleet: { online: 1 } } });
});

test('a mutation by GET is refused', async () => {
  const mutation = 'mutation { updateDevice(input: { id: "pump", name: "Evil" }) { device { id } } }';
  const response = await fetch(`${world.url}/graphql?query=${encodeURIComponent(mutation)}`, {
    headers: { ...(await bearer()), 'apollo-require-preflight': 'true' },
  });
  expect(response.status).toBe(405);
  expect(world.subgraphs.seen).toEqual([]);
});

const preflight = (url: string, origin: string, path = '/graphql') =>
  fetch(`${url}${path}`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
  });

test('on a development machine Apollo Sandbox and local front ends may call, others may not', async () => {
  for (const origin of [
    'https://studio.apollographql.com',
    'https://sandbox.embed.apollographql.com',
    'http://localhost:5173',
  ])
    expect((await preflight(world.url, origin)).headers.get('access-control-allow-origin')).toBe(origin);
  for (const origin of [
    'https://evil.example',
    'http://localhost.evil.example',
    'https://studio.apollographql.com.evil.example',
  ])
    expect((await preflight(world.url, origin)).headers.get('access-control-allow-origin')).toBeNull();
});

test('Sandbox greets a browser', async () => {
  const response = await fetch(`${world.url}/graphql`, { headers: { accept: 'text/html' } });
  expect(response.status).toBe(200);
  expect(await response.text()).toContain('embeddable-sandbox');
});

test('on a development machine the schema may be read without a token, and nothing else', async () => {
  expect((await post({ query: '{ __schema { queryType { name } } }' })).answer).toEqual({
    data: { __schema: { queryType: { name: 'Query' } } },
  });
  expect((await post({ query: '{ __typename ...F } fragment F on Query { fleet { devices } }' })).status).toBe(401);
});

test('in production there is no introspection, no landing page, no foreign origin', async () => {
  await using production = await startGateway({
    settings: {
      NODE_ENV: 'production',
      DATABASE_URL: 'postgresql://127.0.0.1:1/none',
      JWKS_URL: 'https://issuer.test/jwks.json',
      JWT_ISSUER: 'https://issuer.test',
      JWT_AUDIENCE: 'fleetgraph',
    },
  });
  const authorization = `Bearer ${await production.issuer.token('acme')}`;
  const ask = async (query: string, headers: Record<string, string>) => {
    const response = await fetch(`${production.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query }),
    });
    return { status: response.status, answer: (await response.json()) as Payload };
  };
  expect((await ask('{ __schema { queryType { name } } }', {})).status).toBe(401);
  const introspected = await ask('{ __schema { queryType { name } } }', { authorization });
  expect(introspected.answer.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  expect(await ask('{ fleet { devices } }', { authorization })).toEqual({
    status: 200,
    answer: { data: { fleet: { devices: 2 } } },
  });
  expect(
    (await preflight(production.url, 'http://localhost:5173')).headers.get('access-control-allow-origin'),
  ).toBeNull();
  const page = await fetch(`${production.url}/graphql`, { headers: { accept: 'text/html' } });
  expect(await page.text()).not.toContain('sandbox');
});

test('requests are counted by outcome', async () => {
  const before = await world.metric('fleetgraph_gateway_requests_total');
  world.subgraphs.failures.set('boiler', new FleetgraphError('NOT_FOUND', 'gone'));
  await world.ask('{ fleet { devices } }');
  await world.ask('{ device(id: "boiler") { id } }');
  expect(await world.metric('fleetgraph_gateway_requests_total')).toBe(before + 2);
});

test('on a development machine an answer says where its time went, and shows the plan to who asks', async () => {
  const query = '{ device(id: "boiler") { name presence { online } } }';
  const { headers, answer } = await post({ query, extensions: { queryPlan: true } }, await bearer());
  expect(headers.get('server-timing')).toMatch(
    /^gateway;dur=[\d.]+, device;dur=[\d.]+;desc="from [\d.]+ ms", query;dur=[\d.]+;desc="from [\d.]+ ms"$/,
  );
  const plan = { text: expect.stringContaining('Fetch(service: "device")') as string, object: { kind: 'QueryPlan' } };
  expect(answer).toMatchObject({ extensions: { apolloQueryPlan: plan } });
  const byHeader = await post({ query }, { ...(await bearer()), 'apollo-expose-query-plan': 'true' });
  expect(byHeader.answer).toMatchObject({ extensions: { apolloQueryPlan: plan } });
  expect((await post({ query }, await bearer())).answer).not.toHaveProperty('extensions');
});

test('in production nobody is shown either', async () => {
  await using production = await startGateway({ settings: { NODE_ENV: 'production' }, issuer: world.issuer });
  const response = await fetch(`${production.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'apollo-expose-query-plan': 'true', ...(await bearer()) },
    body: JSON.stringify({ query: '{ fleet { devices } }', extensions: { queryPlan: true } }),
  });
  expect(response.headers.get('server-timing')).toBeNull();
  expect(await response.json()).toEqual({ data: { fleet: { devices: 2 } } });
});
