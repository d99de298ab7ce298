/** What requests and answers on their way cost Traefik: neither their number nor their size fills its memory. */
import { connect, type Socket } from 'node:net';
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik, type Traefik } from '../world/traefik/traefik.js';
import { send, startBackend, type Backend } from './edge-world.js';

const alice = { authorization: 'Bearer acme/alice' };
const basic = { authorization: 'Basic eDp5' };
const size = 4_194_304;
const MiB = 1_048_576;

describe.skipIf(!hasTraefik())('bodies', () => {
  const cleanUps: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  async function start(replace: Readonly<Record<string, string>>): Promise<{ backend: Backend; traefik: Traefik }> {
    const backend = await startBackend();
    cleanUps.push(async () => backend[Symbol.asyncDispose]());
    const traefik = await startTraefik({ gateways: [backend.url], replace });
    cleanUps.push(async () => traefik[Symbol.asyncDispose]());
    return { backend, traefik };
  }

  /** A connection on which a request has begun whose head is `head`. */
  function open({ url }: Traefik, head: readonly string[]): Socket {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    cleanUps.push(() => void socket.destroy());
    socket.on('error', () => undefined);
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    return socket;
  }
  const post = (path: string, { authorization }: { authorization: string }) => [
    `POST ${path} HTTP/1.1`,
    'Host: fleetgraph',
    `Authorization: ${authorization}`,
    'Accept-Encoding: zstd, br, gzip',
    `Content-Length: ${size}`,
  ];
  const residentBytes = async ({ pid }: Traefik): Promise<number> =>
    Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;

  test('those who send slowly, known or not, and those who read slowly keep less than 1 MiB each in memory', async () => {
    const many = 60;
    const { backend, traefik } = await start({
      '$inFlight := 50': '$inFlight := 200',
      '$deviceAtOnce := 100': '$deviceAtOnce := 500',
    });
    // Text that compresses badly, so that the encoder has to hold some of it.
    const answer = Buffer.from(
      Array.from({ length: 2 * MiB }, (_unused, index) => 33 + (((index * 2_654_435_761) >>> 11) % 90)),
    );
    backend.handle = ({ request, response }) => void request.on('end', () => response.end(answer));
    const before = await residentBytes(traefik);
    const body = Buffer.alloc(size, 'x');
    const started: Promise<unknown>[] = [];
    const all: Socket[] = [];
    for (const [path, who] of [
      ['/graphql', alice],
      ['/ingest/v1/telemetry', basic],
    ] as const)
      for (let count = 0; count < many; count++) {
        const socket = open(traefik, post(path, who));
        all.push(socket);
        started.push(new Promise((resolve) => socket.write(body.subarray(1), resolve)));
      }
    await Promise.all(started);
    const readers = Array.from({ length: many }, () => {
      const socket = open(traefik, post('/graphql', alice));
      socket.write(body);
      all.push(socket);
      return socket;
    });
    await eventually(
      () => expect(readers.filter(({ readableLength }) => readableLength > 0)).toHaveLength(many),
      60_000,
    );
    const head = String(readers[0]?.read());
    expect(head).toMatch(/^HTTP\/1\.1 200/);
    expect(head.toLowerCase()).toContain('content-encoding: gzip');
    const each = ((await residentBytes(traefik)) - before) / all.length;
    expect(each).toBeLessThan(MiB);
  }, 120_000);

  test('all together have a limit on each route, also those whom nobody knows', async () => {
    const { backend, traefik } = await start({ '$inFlightOfAll := 200': '$inFlightOfAll := 3' });
    const ask = (subject: string, headers: Readonly<Record<string, string>> = {}) =>
      send(traefik.url, '/graphql', {
        method: 'POST',
        headers: { authorization: `Bearer acme/${subject}`, ...headers },
      });
    const held: (() => void)[] = [];
    backend.handle = ({ response }) => held.push(() => void response.end('done'));
    const waiting = ['alice', 'bob', 'carol'].map((subject) => ask(subject));
    await eventually(() => expect(held).toHaveLength(3));
    expect((await ask('dave')).status).toBe(429);
    expect((await ask('dave', { 'x-auth-all': 'another', x_auth_all: 'another' })).status, 'forged').toBe(429);
    const device = send(traefik.url, '/ingest/v1/telemetry', { method: 'POST', headers: basic });
    await eventually(() => expect(held, 'another route').toHaveLength(4));
    for (const release of held) release();
    expect((await Promise.all([...waiting, device])).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    backend.handle = ({ response }) => void response.end('done');
    await eventually(async () => expect((await ask('dave')).status).toBe(200));
  });

  test('an answer and a body of any size up to the limit pass unchanged', async () => {
    const { backend, traefik } = await start({});
    backend.handle = ({ request, response }) =>
      void request.on('data', (chunk: Buffer) => response.write(chunk)).on('end', () => response.end());
    for (const bytes of [0, 1, 65_535, 65_536, 65_537, size]) {
      const body = Buffer.from(Array.from({ length: bytes }, (_unused, index) => 97 + (index % 26)));
      const { status, body: answered } = await send(traefik.url, '/graphql', { method: 'POST', headers: alice, body });
      expect(status).toBe(200);
      expect(answered === body.toString(), `${bytes} bytes`).toBe(true);
    }
  });
});
