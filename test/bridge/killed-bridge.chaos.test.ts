/** The bridge is killed (SIGKILL) with messages on their way: what was acknowledged is stored, what was not comes again. */
import { connectAsync, type MqttClient } from 'mqtt';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPostgresBus } from '../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../backbone/bus/topics.js';
import { startScript, type Child } from '../world/child-process.js';
import { createDatabase, silentLog, type TestDatabase } from '../world/database.js';
import { eventually, within } from '../world/eventually.js';

let database: TestDatabase;
let child: Child;
const clients: MqttClient[] = [];
beforeEach(async () => {
  database = await createDatabase();
  const bus = createPostgresBus({
    pool: database.pool,
    databaseUrl: database.url,
    log: silentLog,
    metrics: new Registry(),
  });
  await bus.ensureTopics(topicOptions({ partitions: 2, retentionMs: 3_600_000 }));
  await bus.close();
  child = await start('0');
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true);
  await child.kill();
  await database[Symbol.asyncDispose]();
});

const start = (port: string): Promise<Child> =>
  startScript(new URL('bridge-process.ts', import.meta.url), [database.url, port]);
const portOf = (started: Child): string => started.output().trim();

/** A device that comes back by itself, with what was not acknowledged. */
async function connect(clientId: string): Promise<MqttClient> {
  const client = await connectAsync(`mqtt://127.0.0.1:${portOf(child)}`, {
    clientId,
    username: clientId,
    password: 'secret',
    reconnectPeriod: 50,
  });
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

async function stored(deviceId: string): Promise<unknown[]> {
  const { rows } = await database.pool.query<{ value: string }>(
    'SELECT value FROM bus.records WHERE topic = $1 AND key = $2 ORDER BY "offset"',
    [topics.telemetry, deviceId],
  );
  return rows.map(({ value }) => (JSON.parse(value) as { readings: { value: unknown }[] }).readings[0]?.value);
}

test('a message that was received and not yet durable is not acknowledged, and stored by the bridge after', async () => {
  const client = await connect('boiler');
  const lock = await database.pool.connect();
  await lock.query('BEGIN');
  await lock.query('LOCK TABLE bus.records IN ACCESS EXCLUSIVE MODE');
  let acknowledged = false;
  const publishing = client
    .publishAsync('fleet/acme/boiler/telemetry', '{"n": 1}', { qos: 1 })
    .then(() => (acknowledged = true));
  const waiting = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name = 'bridge-process' AND wait_event_type = 'Lock' AND query LIKE '%bus.records%'`;
  await eventually(async () => {
    const { rows } = await database.pool.query(waiting.replace('pg_terminate_backend(pid)', 'pid'));
    expect(rows.length).toBeGreaterThan(0);
  });
  const port = portOf(child);
  await child.kill();
  // Nor may the server finish what the dead process had begun.
  await database.pool.query(waiting);
  await lock.query('ROLLBACK');
  lock.release();
  expect(acknowledged).toBe(false);
  expect(await stored('boiler')).toEqual([]);

  child = await start(port);
  await within(publishing, 10_000, 'the PUBACK');
  expect(await stored('boiler')).toEqual([1]);
});

test('killed twice under load: nothing that was acknowledged is missing, and each device’s order is kept', async () => {
  const ids = ['a', 'b', 'c'];
  const acknowledged = new Map<string, number[]>(ids.map((id) => [id, []]));
  const count = () => [...acknowledged.values()].reduce((sum, numbers) => sum + numbers.length, 0);
  let publishing = true;
  const devices = ids.map(async (id) => {
    const client = await connect(id);
    let next = 0;
    const lane = async (): Promise<void> => {
      while (publishing) {
        const n = next++;
        await client.publishAsync(`fleet/acme/${id}/telemetry`, JSON.stringify({ n }), { qos: 1 });
        acknowledged.get(id)?.push(n);
      }
    };
    await Promise.all(Array.from({ length: 10 }, lane));
  });
  for (let kills = 0; kills < 2; kills += 1) {
    const target = count() + 500;
    await eventually(() => expect(count()).toBeGreaterThan(target));
    const port = portOf(child);
    await child.kill();
    child = await start(port);
  }
  const target = count() + 500;
  await eventually(() => expect(count()).toBeGreaterThan(target));
  publishing = false;
  await within(Promise.all(devices), 20_000, 'the last PUBACKs');

  for (const id of ids) {
    const numbers = await stored(id);
    const seen = new Set(numbers);
    expect(acknowledged.get(id)?.filter((n) => !seen.has(n))).toEqual([]);
    // The first time that each is seen, it is in the order in which the device sent them.
    expect([...seen]).toEqual(Array.from({ length: seen.size }, (_unused, n) => n));
  }
});

test('a bridge that starts after a kill says in every partition that whoever was connected is not', async () => {
  await connect('orphan');
  const presence = async () => {
    const { rows } = await database.pool.query<{ partition: number; type: string; value: string }>(
      `SELECT partition, headers->>'ce_type' AS type, value FROM bus.records WHERE topic = $1 ORDER BY partition, "offset"`,
      [topics.signals],
    );
    return rows.map(({ type, partition, value }) => ({
      type: type.split('.').at(-2),
      partition,
      session: (JSON.parse(value) as { session: number }).session,
    }));
  };
  const online = await eventually(async () => {
    const found = (await presence()).find(({ type }) => type === 'changed');
    expect(found).toBeDefined();
    return found;
  });
  for (const client of clients.splice(0)) client.end(true);
  await child.kill();
  child = await start('0');
  const resets = (await presence()).filter(({ type, session }) => type === 'reset' && session > (online?.session ?? 0));
  expect(resets.map(({ partition }) => partition)).toEqual([0, 1]);
});
