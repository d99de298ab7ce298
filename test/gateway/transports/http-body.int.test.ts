/** Bodies of requests: content codings, charsets, invalid UTF-8, byte order marks. */
import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { textOfBody } from '../../../gateway/transports/http-body.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import type { Payload } from '../protocol-client.js';

const maxBytes = 100_000;
let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway({
    settings: { GATEWAY_MAX_BODY_BYTES: String(maxBytes), GATEWAY_MAX_VARIABLES_BYTES: '50000' },
  });
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.subgraphs.seen.length = 0;
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
});

async function post(bytes: Buffer | string, headers: Readonly<Record<string, string>> = {}) {
  const authorization = `Bearer ${await world.issuer.token('acme')}`;
  const sent = request(`${world.url}/graphql`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', authorization, ...headers },
  });
  sent.end(bytes);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const answer = JSON.parse(Buffer.concat(chunks).toString()) as Payload;
  return { status: response.statusCode, headers: response.headers, answer };
}

const query = '{ fleet { devices } }';
const body = Buffer.from(JSON.stringify({ query }));
const data = { fleet: { devices: 2 } };
const codeIn = ({ errors }: Payload) => errors?.[0]?.extensions?.['code'];

const codings = [
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['GZip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['identity', (bytes: Buffer) => bytes],
] as const;

test.each(codings)('a body in %s is read', async (coding, compress) => {
  const { status, answer } = await post(compress(body), { 'content-encoding': coding });
  expect([status, answer]).toEqual([200, { data }]);
});

test.each(['application/json', 'text/event-stream'])('a compressed body is read for %s', async (accept) => {
  const authorization = `Bearer ${await world.issuer.token('acme')}`;
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { accept, authorization, 'content-type': 'application/json', 'content-encoding': 'gzip' },
    body: new Uint8Array(gzipSync(body)),
  });
  expect(await response.text()).toContain(JSON.stringify({ data }));
});

test.each(codings.filter(([coding]) => coding !== 'identity'))(
  'bounds the decompressed size of a body in %s',
  async (coding, compress) => {
    const padded = (length: number) => compress(Buffer.from(JSON.stringify({ query: query.padEnd(length) })));
    expect((await post(padded(maxBytes - 20), { 'content-encoding': coding })).status).toBe(200);
    const { status, answer } = await post(padded(maxBytes + 1), { 'content-encoding': coding });
    expect([status, codeIn(answer)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    expect(answer.errors?.[0]?.message).toContain(String(maxBytes));
  },
);

test('stops to decompress a body at its bound', async () => {
  const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
  // Decompressing all of it would fail, because its end is missing.
  const cut = bomb.subarray(0, bomb.length / 2);
  await expect(textOfBody(cut, { 'content-encoding': 'gzip' }, maxBytes)).rejects.toMatchObject({
    code: 'PAYLOAD_TOO_LARGE',
  });
  expect((await post(cut, { 'content-encoding': 'gzip' })).status).toBe(413);
});

test('the limit of variables holds for what was compressed', async () => {
  const variables = { a: 'x'.repeat(60_000) };
  const { status, answer } = await post(gzipSync(JSON.stringify({ query, variables })), { 'content-encoding': 'gzip' });
  expect([status, codeIn(answer)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
});

test.each([
  ['gzip', body],
  ['gzip', gzipSync(body).subarray(0, 20)],
  ['deflate', body],
  ['br', Buffer.from('no brotli at all')],
  ['gzip', Buffer.alloc(0)],
])('refuses a body that is not valid %s with 400', async (coding, bytes) => {
  const { status, answer } = await post(bytes, { 'content-encoding': coding });
  expect([status, codeIn(answer)]).toEqual([400, 'BAD_USER_INPUT']);
});

test.each(['zstd', 'compress', 'gzip, br', 'aes128gcm'])(
  'a body in %s is 415, with those that are taken',
  async (coding) => {
    const { status, headers, answer } = await post(body, { 'content-encoding': coding });
    expect([status, codeIn(answer)]).toEqual([415, 'BAD_USER_INPUT']);
    expect(headers['accept-encoding']).toBe('gzip, deflate, br');
    expect(answer.errors?.[0]?.message).toContain(coding);
  },
);

test.each(['utf-8', 'UTF-8', '"utf-8"', 'utf8'])('a body in the charset %s is read', async (charset) => {
  const { answer } = await post(body, { 'content-type': `application/json; charset=${charset}` });
  expect(answer).toEqual({ data });
});

test.each(['iso-8859-1', 'utf-16', '"UTF-16LE"', 'windows-1252', 'us-ascii'])(
  'a body in the charset %s is 415, and nothing is stored',
  async (charset) => {
    const mutation = 'mutation { updateDevice(input: { id: "boiler", name: "caf\xe9" }) { device { name } } }';
    const bytes = Buffer.from(JSON.stringify({ query: mutation }), 'latin1');
    const { status, answer } = await post(bytes, { 'content-type': `application/json; charset=${charset}` });
    expect([status, codeIn(answer)]).toEqual([415, 'BAD_USER_INPUT']);
    expect(answer.errors?.[0]?.message).toContain('UTF-8');
    expect(world.subgraphs.seen).toEqual([]);
  },
);

test.each([
  ['of Latin-1', Buffer.from('{"query":"{ device(id: \\"caf\xe9\\") { id } }"}', 'latin1')],
  ['of UTF-16', Buffer.from(JSON.stringify({ query }), 'utf16le').subarray(1)],
  [
    'of a surrogate by itself',
    Buffer.concat([Buffer.from('{"query":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]),
  ],
  ['cut in a character', Buffer.concat([body, Buffer.from([0xe2, 0x82])])],
])('bytes %s are 400', async (_what, bytes) => {
  for (const [sent, headers] of [
    [bytes, {}],
    [gzipSync(bytes), { 'content-encoding': 'gzip' }],
  ] as const) {
    const { status, answer } = await post(sent, headers);
    expect([status, codeIn(answer)]).toEqual([400, 'BAD_USER_INPUT']);
  }
  expect(world.subgraphs.seen).toEqual([]);
});

test('a byte order mark is no part of the text, and characters of all lengths come through', async () => {
  const name = 'Kältepumpe ☃ 𝄞';
  const renaming =
    'mutation R($name: String!) { updateDevice(input: { id: "boiler", name: $name }) { device { name } } }';
  const bytes = Buffer.from(`\ufeff${JSON.stringify({ query: renaming, variables: { name } })}`);
  expect(bytes[0]).toBe(0xef);
  expect((await post(bytes)).answer).toEqual({ data: { updateDevice: { device: { name } } } });
  expect((await post(gzipSync(bytes), { 'content-encoding': 'gzip' })).status).toBe(200);
});
