import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createDedicatedClient } from '../../platform/database/dedicated-client.js';
import { createPool } from '../../platform/database/pool.js';
import { createPrisma } from '../../platform/database/prisma.js';
import { isTransientDatabaseError } from '../../platform/database/transient.js';
import { startTcpGate } from '../world/cluster/tcp-gate.js';
import { createDatabase, silentLog } from '../world/database.js';
import { within } from '../world/eventually.js';

const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
/** ErrorResponse of a server that ends the connection (https://www.postgresql.org/docs/current/protocol-message-formats.html). */
const terminated = (() => {
  const fields = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0');
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
})();

/** The database behind a proxy that ends the first `count` connections with the very bytes that say that they are ready. */
async function endingProxy(databaseUrl: string, count: number) {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let left = count;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    const isEnded = left > 0;
    left -= 1;
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      if (isEnded && chunk.subarray(-readyForQuery.length).equals(readyForQuery))
        client.end(Buffer.concat([chunk, terminated]));
      else client.write(chunk);
    });
    upstream.on('end', () => client.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('a connection that is lost in the moment in which it is handed over fails its statement, and nothing else', async () => {
  await using database = await createDatabase();
  await using proxy = await endingProxy(database.url, 3);
  const pool = createPool({ url: proxy.url, size: 2, applicationName: 'lost', log: silentLog });
  // An error that nobody listens to would fail this run.
  const outcomes = await Promise.allSettled([1, 2, 3].map(async () => pool.query('SELECT 1')));
  expect(outcomes.map(({ status }) => status)).toContain('rejected');
  await expect(pool.query('SELECT 1 AS one')).resolves.toMatchObject({ rows: [{ one: 1 }] });
  await pool.end();
});

test('the same with a transaction of Prisma', async () => {
  await using database = await createDatabase();
  await using proxy = await endingProxy(database.url, 1);
  const prisma = createPrisma({ url: proxy.url, size: 1, applicationName: 'lost-prisma' });
  const work = () => prisma.$transaction(async (tx) => tx.$queryRaw`SELECT 1 AS one`);
  await expect(work()).rejects.toThrow();
  await expect(work()).resolves.toEqual([{ one: 1 }]);
  await prisma.$disconnect();
});

test('a connection that is kept is closed also when its server has gone without a word', async () => {
  await using database = await createDatabase();
  const { hostname, port } = new URL(database.url);
  await using gate = await startTcpGate({ host: hostname, port: Number(port) });
  const url = new URL(database.url);
  url.host = `127.0.0.1:${gate.port}`;
  const client = createDedicatedClient({ databaseUrl: url.href, applicationName: 'silent', queryTimeoutMs: 200 });
  client.on('error', () => undefined);
  await client.connect();
  gate.goSilent();
  await expect(client.query('SELECT 1')).rejects.toSatisfy(isTransientDatabaseError);
  await within(client.close(), 10_000, 'the close');
});
