/** deploy/postgres/after-logical-restore.sql: a dump brings transaction ids that the new server has not counted to. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sqlOf } from '../../platform/database/sql.js';
import { appendNamed, createRelayWorld, type RelayWorld } from '../backbone/relay/relay-world.js';
import { read } from '../docs/repository.js';
import { eventually } from '../world/eventually.js';

let world: RelayWorld;
beforeEach(async () => {
  world = await createRelayWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

const names = () => world.published.map(({ name }) => name);
const append = (stream: string) => appendNamed(sqlOf(world.database.pool), stream, 0, stream);

async function publishes(expected: readonly string[]): Promise<void> {
  await eventually(() => {
    expect([...names()].sort()).toEqual(expected);
  });
}

/** Leaves two published events and one that is not, as a dump from a server that is a billion transactions older. */
async function restoreDump(): Promise<void> {
  await append('a');
  await append('b');
  const relay = await world.startRelay();
  await publishes(['a', 'b']);
  await relay.stop();
  await append('c');
  await world.database.pool.query(`
    ALTER TABLE events.events DISABLE TRIGGER append_only;
    UPDATE events.events SET transaction_id = (transaction_id::text::bigint + 1000000000)::text::xid8;
    UPDATE events.relay_cursors SET transaction_id = (transaction_id::text::bigint + 1000000000)::text::xid8;
    ALTER TABLE events.events ENABLE TRIGGER append_only;`);
}

test('without it, nothing new is published', async () => {
  await restoreDump();
  await append('d');
  await world.startRelay();
  await world.relayHasLooked();
  expect(names()).toEqual(['a', 'b']);
});

test('after it, what was not published is, what is new is, and nothing is published again', async () => {
  await restoreDump();
  await world.database.pool.query(read('deploy/postgres/after-logical-restore.sql'));
  await append('d');
  await world.startRelay();
  await publishes(['a', 'b', 'c', 'd']);
});

test('after it, the store is append-only as before, and running it again changes nothing', async () => {
  await restoreDump();
  const script = read('deploy/postgres/after-logical-restore.sql');
  await world.database.pool.query(script);
  await world.database.pool.query(script);
  await expect(world.database.pool.query(`DELETE FROM events.events`)).rejects.toThrow('append-only');
  await world.startRelay();
  await publishes(['a', 'b', 'c']);
});

test('it does no harm to a store without events or without a cursor', async () => {
  const script = read('deploy/postgres/after-logical-restore.sql');
  await world.database.pool.query(script);
  await append('a');
  await world.database.pool.query(script);
  await world.startRelay();
  await publishes(['a']);
});
