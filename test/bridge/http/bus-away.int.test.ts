/** While the bus is away HTTP says so, and says to come again; nothing is answered "accepted" that is not stored. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, within } from '../../world/eventually.js';
import { createBridgeWorld, type BridgeWorld } from '../bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld();
  world.device('meter');
});
afterAll(() => world[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: { readonly accepted?: number; readonly error?: { readonly code: string } };
}
async function post(n: number): Promise<Answer> {
  const response = await world.http('/ingest/v1/telemetry', {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('meter:secret')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ts: 1_000 * Math.floor(Date.now() / 1_000) - n, values: { n } }),
  });
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    body: (await response.json()) as Answer['body'],
  };
}

test('a request that finds the bus away, and one that waits too long for it, is 503 with Retry-After', async () => {
  const unavailable = { status: 503, retryAfter: '1', body: { error: { code: 'UNAVAILABLE' } } };
  await world.database.pool.query('ALTER TABLE bus.records RENAME TO records_away');
  const first = post(1);
  await eventually(() => expect(world.bridge.ready?.()).rejects.toThrow('the bus takes no records'));
  // It is known by now: at once.
  expect(await within(post(2), 2_000, 'the second answer')).toMatchObject(unavailable);
  expect(await within(first, 15_000, 'the first answer')).toMatchObject(unavailable);

  await world.database.pool.query('ALTER TABLE bus.records_away RENAME TO records');
  await eventually(async () => expect(await post(3)).toMatchObject({ status: 200, body: { accepted: 1 } }));
  const stored = (await world.eventsOf('io.fleetgraph.telemetry.received.v1')).map(
    ({ data }) => data.readings[0]?.value,
  );
  expect(stored).toContain(3);
  // What was refused at once was not kept.
  expect(stored).not.toContain(2);
});
