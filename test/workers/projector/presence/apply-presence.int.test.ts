import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeEvent } from '../../../../backbone/events/envelope.js';
import {
  applyPresence,
  applyReset,
  type PresenceChanged,
  type PresenceReset,
} from '../../../../workers/projector/presence/apply-presence.js';
import { createDatabase, type TestDatabase } from '../../../world/database.js';
import { storedStates } from '../stored-telemetry.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const presence = (tenant: string, deviceId: string, online: boolean, session: number): PresenceChanged =>
  makeEvent({
    source: '/bridge',
    type: 'io.fleetgraph.presence.changed.v1',
    subject: deviceId,
    tenant,
    data: { deviceId, online, session, at: session + (online ? 0 : 5), reason: online ? 'connected' : 'disconnected' },
  });

const reset = (session: number): PresenceReset =>
  makeEvent({
    source: '/bridge',
    type: 'io.fleetgraph.presence.reset.v1',
    subject: 'broker',
    tenant: 'any',
    data: { session, at: session },
  });

async function resetAll(event: PresenceReset): Promise<number> {
  let changes = 0;
  for await (const chunk of applyReset(database, event)) changes += chunk.length;
  return changes;
}

test('a batch leaves each device as its newest session says, with one change each', async () => {
  const changes = await applyPresence(database, [
    presence('acme', 'a', true, 100),
    presence('acme', 'b', true, 100),
    presence('acme', 'a', false, 100),
    presence('acme', 'a', true, 200),
    presence('acme', 'b', false, 50),
  ]);
  expect(changes.map(({ change }) => change.id).sort()).toEqual(['a', 'b']);
  const states = await storedStates(database.pool, 'acme');
  expect(states.get('a')).toMatchObject({ online: true, version: 1n, last_seen: new Date(200) });
  expect(states.get('b')).toMatchObject({ online: true, version: 1n });
});

test('a repeated message changes nothing', async () => {
  const message = presence('acme', 'repeated', true, 100);
  expect(await applyPresence(database, [message])).toHaveLength(1);
  expect(await applyPresence(database, [message, message])).toEqual([]);
});

test('a reset takes the devices of older sessions offline, however many, of every tenant, and leaves newer ones', async () => {
  const many = Array.from({ length: 1_203 }, (_, n) => presence('big', `big-${n}`, true, 100));
  await applyPresence(database, many);
  await applyPresence(database, [presence('big', 'reconnected', true, 300), presence('small', 'small', true, 100)]);
  expect(await resetAll(reset(200))).toBeGreaterThanOrEqual(1_204);
  const states = await storedStates(database.pool, 'big');
  expect([...states].filter(([, { online }]) => online).map(([id]) => id)).toEqual(['reconnected']);
  expect((await storedStates(database.pool, 'small')).get('small')?.online).toBe(false);
  expect(await resetAll(reset(200))).toBe(0);
});

test("another tenant can't change the presence of a device by naming its id", async () => {
  await applyPresence(database, [presence('owner', 'owned', true, 100)]);
  expect(await applyPresence(database, [presence('other', 'owned', false, 200)])).toEqual([]);
  expect((await storedStates(database.pool, 'owner')).get('owned')?.online).toBe(true);
});
