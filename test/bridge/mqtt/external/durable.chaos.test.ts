/**
 * What an external broker has taken becomes durable, whatever dies. The bridge acknowledges to the broker only what is on the
 * bus: these tests fail if MQTT.js acknowledges by itself again.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pause } from '../../../../platform/lifecycle/wait.js';
import { eventually } from '../../../world/eventually.js';
import { hasMosquitto } from '../../../world/mosquitto/mosquitto-binary.js';
import { createExternalWorld, type ExternalWorld } from './external-world.js';

const numbers = (count: number): number[] => Array.from({ length: count }, (_unused, index) => index);
/** Values in the order of their first appearance: at-least-once repeats, it never reorders what was not repeated. */
const firstAppearances = (values: readonly unknown[]): unknown[] => [...new Set(values)];

describe.skipIf(!hasMosquitto())('a bridge on Mosquitto', () => {
  let world: ExternalWorld;
  beforeEach(async () => {
    world = await createExternalWorld(['old', 'new', 'third']);
  });
  afterEach(() => world[Symbol.asyncDispose]());

  /** Publishes 0 … count-1 with a time of their own; resolves when the broker has them. */
  const publish = async (client: Awaited<ReturnType<ExternalWorld['connect']>>, deviceId: string, count: number) => {
    const now = Date.now();
    await Promise.all(
      numbers(count).map((n) =>
        client.publishAsync(`fleet/acme/${deviceId}/telemetry`, JSON.stringify({ ts: now + n, values: { n } }), {
          qos: 1,
        }),
      ),
    );
  };
  const isHeard = async (): Promise<void> => {
    const probe = await world.connect('third');
    await eventually(async () => {
      await probe.publishAsync('fleet/acme/third/telemetry', '{"n": 0}', { qos: 1 });
      expect((await world.stored('third')).length).toBeGreaterThan(0);
    });
  };

  test('stores what devices of both versions publish, in the order of each', async () => {
    await world.startBridge('one');
    await isHeard();
    const [old, fresh] = [
      await world.connect('old', { protocolVersion: 4 }),
      await world.connect('new', { protocolVersion: 5 }),
    ];
    await Promise.all([publish(old, 'old', 300), publish(fresh, 'new', 300)]);
    for (const deviceId of ['old', 'new'])
      await eventually(async () => expect(await world.stored(deviceId)).toEqual(numbers(300)));
  });

  test('killed between receipt and durable: all of it comes again to its next life', async () => {
    const doomed = await world.startBridge('one', { MQTT_RECEIVE_MAXIMUM: '20' });
    await isHeard();
    const lock = await world.database.pool.connect();
    await lock.query('BEGIN');
    await lock.query('LOCK TABLE bus.records IN ACCESS EXCLUSIVE MODE');
    const device = await world.connect('new', { protocolVersion: 5 });
    await publish(device, 'new', 100);
    const waiting = `FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await eventually(async () => {
      const { rows } = await lock.query<{ n: number }>(`SELECT count(*)::int AS n ${waiting}`);
      expect(rows[0]?.n).toBeGreaterThan(0);
    });
    await doomed.kill();
    await lock.query(`SELECT pg_terminate_backend(pid) ${waiting}`);
    await lock.query('ROLLBACK');
    lock.release();
    expect(await world.stored('new')).toEqual([]);
    await world.startBridge('one', { MQTT_RECEIVE_MAXIMUM: '20' });
    await eventually(async () => expect(firstAppearances(await world.stored('new'))).toEqual(numbers(100)));
  });

  test('while the bus is away the broker keeps what comes, and all of it is stored in order when it is back', async () => {
    await world.startBridge('one', { MQTT_RECEIVE_MAXIMUM: '10' });
    await isHeard();
    const lock = await world.database.pool.connect();
    await lock.query('BEGIN');
    await lock.query('LOCK TABLE bus.records IN ACCESS EXCLUSIVE MODE');
    const device = await world.connect('old', { protocolVersion: 4 });
    // The device is not kept waiting: the broker has it.
    await publish(device, 'old', 500);
    await lock.query('ROLLBACK');
    lock.release();
    await eventually(async () => expect(await world.stored('old')).toEqual(numbers(500)));
  });

  test('a broker that sends more than it may is not read until there is room', async () => {
    const greedy = await createExternalWorld(['greedy'], { unlimited: true });
    try {
      await greedy.startBridge('one', { MQTT_RECEIVE_MAXIMUM: '10' });
      const device = await greedy.connect('greedy', { protocolVersion: 5 });
      await eventually(async () => {
        await device.publishAsync('fleet/acme/greedy/telemetry', '{"n": -1}', { qos: 1 });
        expect((await greedy.stored('greedy')).length).toBeGreaterThan(0);
      });
      await publish(device, 'greedy', 30_000);
      await eventually(async () => {
        const values = (await greedy.stored('greedy')).filter((value) => value !== -1);
        expect(values.length).toBe(30_000);
        expect(values.every((value, index) => value === index)).toBe(true);
      }, 60_000);
    } finally {
      await greedy[Symbol.asyncDispose]();
    }
  });

  test('messages of QoS 0 are taken as far as there is room, and dropped beyond', async () => {
    await world.startBridge('one', { MQTT_RECEIVE_MAXIMUM: '10' });
    await isHeard();
    const lock = await world.database.pool.connect();
    await lock.query('BEGIN');
    await lock.query('LOCK TABLE bus.records IN ACCESS EXCLUSIVE MODE');
    const device = await world.connect('old', { protocolVersion: 4 });
    const now = Date.now();
    for (const n of numbers(500))
      await device.publishAsync('fleet/acme/old/telemetry', JSON.stringify({ ts: now + n, values: { n } }), { qos: 0 });
    // Behind them in the same connection: when it is stored, all before it were taken or dropped.
    await lock.query('ROLLBACK');
    lock.release();
    await eventually(async () => {
      await device.publishAsync('fleet/acme/old/telemetry', JSON.stringify({ n: -1 }), { qos: 1 });
      expect(await world.stored('old')).toContain(-1);
    });
    const kept = (await world.stored('old')).filter((value) => value !== -1);
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThan(500);
  });

  test('two share the load; one is killed, and when its session is found again nothing is missing', async () => {
    const settings = { MQTT_RECEIVE_MAXIMUM: '50' };
    const doomed = await world.startBridge('one', settings);
    const other = await world.startBridge('two', settings);
    await isHeard();
    const device = await world.connect('new', { protocolVersion: 5 });
    const publishing = (async () => {
      const now = Date.now();
      for (const n of numbers(600)) {
        await device.publishAsync('fleet/acme/new/telemetry', JSON.stringify({ ts: now + n, values: { n } }), {
          qos: 1,
        });
        await pause(1);
      }
    })();
    await eventually(async () => expect((await world.stored('new')).length).toBeGreaterThan(100));
    await doomed.kill();
    const before = (await world.stored('new')).length;
    // The one that lives goes on.
    await eventually(async () => expect((await world.stored('new')).length).toBeGreaterThan(before + 50));
    await publishing;
    await world.startBridge('one', settings);
    await eventually(async () => expect(new Set(await world.stored('new'))).toEqual(new Set(numbers(600))));
    await other.stop();
  });

  test('stopped in good order it acknowledges what it has, and leaves the rest to its next life', async () => {
    const first = await world.startBridge('one');
    await isHeard();
    const device = await world.connect('new', { protocolVersion: 5 });
    const publishing = publish(device, 'new', 400);
    await first.stop();
    await publishing;
    await world.startBridge('one');
    await eventually(async () => expect(firstAppearances(await world.stored('new'))).toEqual(numbers(400)));
    // In good order nothing is stored twice.
    expect(await world.stored('new')).toHaveLength(400);
  });

  test('goes on by itself when the broker was restarted', async () => {
    await world.startBridge('one');
    await isHeard();
    await world.broker.stop();
    await world.broker.restart();
    // What Mosquitto 2.0 takes before the bridge is back it keeps for nobody: it forgets shared subscriptions when it ends.
    const device = await world.connect('new', { protocolVersion: 5 });
    await eventually(async () => {
      await publish(device, 'new', 1);
      expect((await world.stored('new')).length).toBeGreaterThan(0);
    });
    await publish(device, 'new', 200);
    await eventually(async () => expect(new Set(await world.stored('new'))).toEqual(new Set(numbers(200))));
  });
});
