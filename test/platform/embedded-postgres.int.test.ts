import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEmbeddedPostgres } from '../../platform/embedded/postgres.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-postgres-'));
  await chmod(directory, 0o755);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

test('a second start finds the data of the first', async () => {
  const place = join(directory, 'restart');
  const first = await startEmbeddedPostgres({ directory: place });
  await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  const second = await startEmbeddedPostgres({ directory: place });
  try {
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  } finally {
    await second.stop();
  }
});

test('a server left behind by a killed process is replaced, with everything it had committed', async () => {
  const place = join(directory, 'leftover');
  const leftover = await startEmbeddedPostgres({ directory: place });
  await query(leftover.url, 'CREATE TABLE kept AS SELECT 43 AS answer');
  // Not stopped: as after SIGKILL of its parent, it still runs and holds the cluster.
  const next = await startEmbeddedPostgres({ directory: place });
  try {
    expect(next.pid).not.toBe(leftover.pid);
    expect(await query(next.url, 'SELECT answer FROM kept')).toEqual([{ answer: 43 }]);
  } finally {
    await next.stop();
  }
});

test('listens on the loopback address only, and asks for its password', async () => {
  const server = await startEmbeddedPostgres({ directory: join(directory, 'closed') });
  try {
    expect(await query(server.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    const wrong = server.url.replace(/:[^:@]+@/, ':wrong@');
    await expect(query(wrong, 'SELECT 1')).rejects.toThrow('password authentication failed');
  } finally {
    await server.stop();
  }
});

test.runIf(process.getuid?.() === 0)(
  'started by root, it works in a directory that is closed to the user it runs as',
  async () => {
    const closed = await mkdtemp(join(tmpdir(), 'fleetgraph-closed-'));
    try {
      await chmod(closed, 0o700);
      const server = await startEmbeddedPostgres({ directory: join(closed, 'inner', 'postgres') });
      try {
        expect(await query(server.url, 'SELECT 1 AS answer')).toEqual([{ answer: 1 }]);
      } finally {
        await server.stop();
      }
    } finally {
      await rm(closed, { recursive: true, force: true });
    }
  },
);
