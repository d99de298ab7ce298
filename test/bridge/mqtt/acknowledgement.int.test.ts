/** A PUBACK means "stored": none goes out before, none is missing after, and order holds. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, within } from '../../world/eventually.js';
import { createBridgeWorld, topicOf, type BridgeWorld } from '../bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** Holds every write to the bus back until it is released. */
async function holdTheBus(): Promise<() => Promise<void>> {
  const client = await world.database.pool.connect();
  await client.query('BEGIN');
  await client.query('LOCK TABLE bus.records IN ACCESS EXCLUSIVE MODE');
  return async () => {
    await client.query('ROLLBACK');
    client.release();
  };
}

const waitingForLock = async () => {
  const { rows } = await world.database.pool.query(
    `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return rows.length;
};

test('a message is acknowledged when it is on the bus, and not before', async () => {
  const device = world.device('durable');
  const client = await world.connect(device);
  const release = await holdTheBus();
  let acknowledged = false;
  const publishing = client
    .publishAsync(topicOf(device, 'telemetry'), '{"t": 1}', { qos: 1 })
    .then(() => (acknowledged = true));
  await eventually(async () => expect(await waitingForLock()).toBeGreaterThan(0));
  expect(acknowledged).toBe(false);
  await release();
  await within(publishing, 10_000, 'the PUBACK');
  expect((await world.events()).filter(({ subject }) => subject === 'durable')).toContainEqual(
    expect.objectContaining({ type: 'io.fleetgraph.telemetry.received.v1', tenant: 'acme', subject: 'durable' }),
  );
});

test('the messages of a device are stored in the order in which it sent them', async () => {
  const device = world.device('ordered');
  const client = await world.connect(device);
  const numbers = Array.from({ length: 300 }, (_unused, index) => index);
  await Promise.all(
    numbers.map((n) => client.publishAsync(topicOf(device, 'telemetry'), JSON.stringify({ n }), { qos: 1 })),
  );
  const stored = (await world.eventsOf('io.fleetgraph.telemetry.received.v1')).filter(
    ({ subject }) => subject === 'ordered',
  );
  expect(stored.map(({ data }) => data.readings[0]?.value)).toEqual(numbers);
  // Stamped on arrival, and yet no two alike: each is a reading of its own.
  expect(new Set(stored.map(({ data }) => data.readings[0]?.at)).size).toBe(numbers.length);
});

test('QoS 0 is stored, too; QoS 2 is answered to its end', async () => {
  const device = world.device('levels');
  const client = await world.connect(device);
  await client.publishAsync(topicOf(device, 'telemetry'), '{"zero": 0}', { qos: 0 });
  await client.publishAsync(topicOf(device, 'telemetry'), '{"two": 2}', { qos: 2 });
  await eventually(async () => {
    const stored = (await world.eventsOf('io.fleetgraph.telemetry.received.v1')).filter(
      ({ subject }) => subject === 'levels',
    );
    expect(stored.map(({ data }) => data.readings[0]?.metric).sort()).toEqual(['two', 'zero']);
  });
});

test('while the bus refuses, nothing is acknowledged and nothing is lost; after, everything is there once and in order', async () => {
  const device = world.device('outage');
  const client = await world.connect(device);
  const { pool } = world.database;
  await pool.query(`ALTER TABLE bus.records RENAME TO records_away`);
  let acknowledged = 0;
  const publishing = Array.from({ length: 20 }, (_unused, n) =>
    client
      .publishAsync(topicOf(device, 'telemetry'), JSON.stringify({ ts: Date.now() + n, values: { n } }), { qos: 1 })
      .then(() => (acknowledged += 1)),
  );
  await eventually(() => expect(world.bridge.ready?.()).rejects.toThrow('the bus takes no records'));
  expect(acknowledged).toBe(0);
  await pool.query(`ALTER TABLE bus.records_away RENAME TO records`);
  await within(Promise.all(publishing), 20_000, 'the PUBACKs');
  const stored = (await world.eventsOf('io.fleetgraph.telemetry.received.v1')).filter(
    ({ subject }) => subject === 'outage',
  );
  expect(stored.map(({ data }) => data.readings[0]?.value)).toEqual(Array.from({ length: 20 }, (_unused, n) => n));
  await eventually(() => world.bridge.ready?.());
});

test('a stop under load acknowledges nothing that is not stored', async () => {
  const clients = await Promise.all(['s1', 's2', 's3'].map(async (id) => world.connect(world.device(id))));
  const acknowledged: string[] = [];
  let stopping: Promise<void> | undefined;
  await Promise.all(
    clients.map(async (client, index) => {
      const device = world.device(`s${index + 1}`);
      for (let n = 0; client.connected; n += 1) {
        const key = `${device.deviceId}-${n}`;
        // Rejects, or stays open, when the connection ends first.
        void client.publishAsync(topicOf(device, 'telemetry'), JSON.stringify({ key }), { qos: 1 }).then(
          () => acknowledged.push(key),
          () => undefined,
        );
        if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (acknowledged.length > 300) stopping ??= world.restart();
      }
    }),
  );
  await within(stopping ?? Promise.reject(new Error('it was never stopped')), 30_000, 'the restart');
  const stored = new Set(
    (await world.eventsOf('io.fleetgraph.telemetry.received.v1')).map(({ data }) => data.readings[0]?.value),
  );
  expect(acknowledged.filter((key) => !stored.has(key))).toEqual([]);
});
