/**
 * What makes naive tailing lose rows: positions are given out in one order and committed in another. Each test holds
 * transactions open at the very point where a reader that goes by position alone would step over an event.
 */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { FleetgraphError } from '../../../platform/errors.js';
import { inTransaction, sqlOf } from '../../../platform/database/sql.js';
import { eventually } from '../../world/eventually.js';
import { appendNamed, createRelayWorld, type RelayWorld } from './relay-world.js';

let world: RelayWorld;
const open: pg.PoolClient[] = [];
beforeAll(async () => {
  world = await createRelayWorld();
  await world.startRelay({ pollIntervalMs: 10 });
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(async () => {
  for (const client of open.splice(0)) {
    await client.query('ROLLBACK');
    client.release();
  }
});

async function begin(): Promise<pg.PoolClient> {
  const client = await world.database.pool.connect();
  open.push(client);
  await client.query('BEGIN');
  return client;
}

const appendCommitted = (stream: string, revision: number, name: string) =>
  inTransaction(world.database.pool, (sql) => appendNamed(sql, stream, revision, name));

const namesOf = (prefix: string) => world.published.map(({ name }) => name).filter((name) => name.startsWith(prefix));

test('an event whose position is lower but which commits later is not stepped over', async () => {
  const late = await begin();
  await appendNamed(sqlOf(late), 'late-a', 0, 'late: first position');
  await appendCommitted('late-b', 0, 'late: second position');
  await world.relayHasLooked();
  // Published now, the cursor would be behind the first position for good.
  expect(namesOf('late')).toEqual([]);
  await late.query('COMMIT');
  await eventually(() => expect(namesOf('late').sort()).toEqual(['late: first position', 'late: second position']));
});

test('a position that is rolled back holds nothing up once its transaction has ended, and never appears', async () => {
  const doomed = await begin();
  await appendNamed(sqlOf(doomed), 'rolled-a', 0, 'rolled: back');
  await appendCommitted('rolled-b', 0, 'rolled: kept');
  await world.relayHasLooked();
  expect(namesOf('rolled')).toEqual([]);
  await doomed.query('ROLLBACK');
  await eventually(() => expect(namesOf('rolled')).toEqual(['rolled: kept']));
  await appendCommitted('rolled-a', 0, 'rolled: again');
  await eventually(() => expect(namesOf('rolled')).toEqual(['rolled: kept', 'rolled: again']));
});

test('a long transaction that wrote before the others did, and appends behind them, is published with them', async () => {
  const long = await begin();
  await long.query('SELECT pg_current_xact_id()');
  for (let revision = 0; revision < 3; revision += 1) await appendCommitted('long-b', revision, `long: b${revision}`);
  await appendNamed(sqlOf(long), 'long-a', 0, 'long: a0');
  await world.relayHasLooked();
  expect(namesOf('long')).toEqual([]);
  await long.query('COMMIT');
  await eventually(() => expect(namesOf('long')).toHaveLength(4));
  expect(namesOf('long: b')).toEqual(['long: b0', 'long: b1', 'long: b2']);
});

test('a transaction that began before the last one of a stream may not append to it: it begins again', async () => {
  const early = await begin();
  await early.query('SELECT pg_current_xact_id()');
  await appendCommitted('order', 0, 'order: 1');
  await expect(appendNamed(sqlOf(early), 'order', 1, 'order: 2')).rejects.toMatchObject({
    code: 'UNAVAILABLE' satisfies FleetgraphError['code'],
  });
  await early.query('ROLLBACK');
  await appendCommitted('order', 1, 'order: 2');
  await eventually(() => expect(namesOf('order')).toEqual(['order: 1', 'order: 2']));
});

test('under many appenders that commit and roll back at random, each stream comes whole and in order, once', async () => {
  const streams = Array.from({ length: 6 }, (_unused, index) => `busy-${index}`);
  const writer = async (stream: string): Promise<void> => {
    for (let revision = 0; revision < 25;) {
      try {
        await inTransaction(world.database.pool, async (sql) => {
          await appendNamed(sql, stream, revision, `${stream}: ${revision}`);
          if (Math.random() < 0.3) throw new Error('rolled back');
        });
        revision += 1;
      } catch (error) {
        if (!(error instanceof Error && error.message === 'rolled back')) throw error;
      }
    }
  };
  await Promise.all(streams.map(writer));
  await eventually(() => expect(namesOf('busy')).toHaveLength(streams.length * 25));
  for (const stream of streams)
    expect(namesOf(`${stream}:`)).toEqual(Array.from({ length: 25 }, (_unused, index) => `${stream}: ${index}`));
});
