/** Methods and paths of the graph over HTTP, and what a GET has to show. */
import { METHODS } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { openSocket, type Payload } from '../protocol-client.js';
import { acceptOfUrql } from './request-forms.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => void (world.subgraphs.seen.length = 0));

const query = '{ fleet { devices } }';
const data = { fleet: { devices: 2 } };
const search = `?${new URLSearchParams({ query }).toString()}`;
const bearer = async () => ({ authorization: `Bearer ${await world.issuer.token('acme')}` });
const allowed = 'GET, HEAD, POST, OPTIONS';

/** The head of an answer to a method that `fetch` would not send. */
async function headOf(method: string, path: string): Promise<string> {
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1');
  const { authorization } = await bearer();
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${authorization}\r\n\r\n`);
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await once(socket, 'close');
  return text.split('\r\n\r\n')[0] ?? '';
}

describe.each(['/graphql', '/graphql/'])('%s', (path) => {
  test('answers queries by GET and POST', async () => {
    const posted = await fetch(`${world.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(await bearer()) },
      body: JSON.stringify({ query }),
    });
    expect(await posted.json()).toEqual({ data });
    const got = await fetch(`${world.url}${path}${search}`, { headers: await bearer() });
    expect(await got.json()).toEqual({ data });
  });

  test('opens WebSockets', async () => {
    const client = await openSocket(`${world.url}${path}?from=a-proxy`, await bearer());
    client.subscribe('q', query);
    expect(await client.payload('q')).toEqual({ data });
    client.socket.terminate();
  });

  test('answers HEAD as GET, without a body', async () => {
    const head = await fetch(`${world.url}${path}${search}`, { method: 'HEAD', headers: await bearer() });
    expect([head.status, head.headers.get('content-type'), head.headers.get('content-length')]).toEqual([
      200,
      'application/json; charset=utf-8',
      String(JSON.stringify({ data }).length),
    ]);
    expect(await head.text()).toBe('');
    const mutation = new URLSearchParams({ query: 'mutation { updateDevice(input: { id: "x" }) { device { id } } }' });
    const refused = await fetch(`${world.url}${path}?${mutation.toString()}`, {
      method: 'HEAD',
      headers: await bearer(),
    });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST']);
    expect((await fetch(`${world.url}${path}${search}`, { method: 'HEAD' })).status).toBe(401);
  });

  test('begins no stream by HEAD', async () => {
    const watch = new URLSearchParams({ query: 'subscription { deviceState(deviceId: "boiler") { cursor } }' });
    for (const accept of ['text/event-stream', 'text/event-stream, application/json']) {
      const head = await fetch(`${world.url}${path}?${watch.toString()}`, {
        method: 'HEAD',
        headers: { accept, 'apollo-require-preflight': 'yes', ...(await bearer()) },
      });
      expect(head.status).toBe(accept.includes('json') ? 400 : 406);
    }
    expect(world.subgraphs.live.opened).toEqual([]);
  });

  test.each(['PUT', 'DELETE', 'PATCH'])('%s is 405, with the methods that there are', async (method) => {
    const response = await fetch(`${world.url}${path}`, {
      method,
      headers: { 'content-type': 'application/x-anything', ...(await bearer()) },
      body: 'anything',
    });
    expect([response.status, response.headers.get('allow')]).toEqual([405, allowed]);
    const answer = (await response.json()) as Payload;
    expect(answer.errors?.[0]).toMatchObject({
      message: expect.stringContaining(method) as string,
      extensions: { code: 'BAD_USER_INPUT' },
    });
  });

  test('OPTIONS that is no preflight says which methods there are', async () => {
    for (const headers of [{}, { origin: 'https://elsewhere.example' }] as Record<string, string>[]) {
      const response = await fetch(`${world.url}${path}`, { method: 'OPTIONS', headers });
      expect([response.status, response.headers.get('allow')]).toEqual([204, allowed]);
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
    }
  });

  test('a preflight of a known origin gets the allowed methods', async () => {
    const response = await fetch(`${world.url}${path}`, {
      method: 'OPTIONS',
      headers: {
        origin: 'http://localhost:3000',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization, content-type',
      },
    });
    expect(response.status).toBe(204);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-origin': 'http://localhost:3000',
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'authorization, content-type',
      'access-control-max-age': '86400',
    });
  });
});

test('every other method that Node.js knows is 405', async () => {
  const others = METHODS.filter((method) => !['GET', 'HEAD', 'POST', 'OPTIONS', 'CONNECT'].includes(method));
  for (const method of others) {
    const head = await headOf(method, '/graphql');
    expect(head, method).toMatch(/^HTTP\/1\.1 405 /);
    expect(head.toLowerCase(), method).toContain(`allow: ${allowed.toLowerCase()}`);
  }
});

test('a path that only begins so is not served', async () => {
  for (const path of ['/graphqls', '/graphql/x', '/graphql//']) {
    expect((await fetch(`${world.url}${path}${search}`, { headers: await bearer() })).status).toBe(404);
    await expect(openSocket(`${world.url}${path}`, await bearer())).rejects.toThrow();
  }
});

describe('a GET that a page of another site could send', () => {
  const get = async (headers: Record<string, string>, text = query) => {
    const response = await fetch(`${world.url}/graphql?${new URLSearchParams({ query: text }).toString()}`, {
      headers,
    });
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };

  test.each([
    ['nothing of a stream', 'application/json'],
    ['all types, as urql', acceptOfUrql],
    ['a stream in the second place', 'application/json, text/event-stream'],
    ['multipart, for subscriptions', 'multipart/mixed;subscriptionSpec=1.0, application/json'],
  ])('is answered with a bearer token, if it accepts %s', async (_what, accept) => {
    const { status, text } = await get({ accept, ...(await bearer()) });
    expect([status, JSON.parse(text)]).toEqual([200, { data }]);
  });

  test('is refused for an answer that streams, also with a token, unless it has a custom header', async () => {
    const watch = 'subscription { deviceState(deviceId: "boiler") { cursor } }';
    for (const [accept, text] of [
      ['text/event-stream', query],
      ['text/event-stream', watch],
      [acceptOfUrql, watch],
      ['text/event-stream', '{ nothing }'],
    ] as const) {
      const refused = await get({ accept, ...(await bearer()) }, text);
      expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('CSRF')]);
      expect(refused.type).toContain('json');
    }
    expect(world.subgraphs.live.opened).toEqual([]);
    for (const header of ['apollo-require-preflight', 'x-apollo-operation-name'])
      expect((await get({ accept: 'text/event-stream', [header]: 'x', ...(await bearer()) })).status).toBe(200);
  });
});
