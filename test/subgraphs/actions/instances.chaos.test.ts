import { afterAll, beforeAll, expect, test } from 'vitest';
import { evolve } from '../../../subgraphs/actions/command/life-cycle.js';
import { isFinal, type Command } from '../../../subgraphs/actions/command/command.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { eventually } from '../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from './actions-world.js';
import { cancelMutation, read, send, sendMutation, type Sent } from './operations.js';

let world: ActionsWorld;
beforeAll(async () => {
  world = await createActionsWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

async function counted(instances: readonly ActionsInstance[]): Promise<ReadonlyMap<string, number>> {
  const sums = new Map<string, number>();
  for (const { metrics } of instances) {
    const metric = await metrics.getSingleMetric('fleetgraph_commands_total')?.get();
    for (const { labels, value } of metric?.values ?? []) {
      const status = String(labels['status']);
      sums.set(status, (sums.get(status) ?? 0) + value);
    }
  }
  return sums;
}

test('two instances at once, with signals twice, cancellations and expiries racing, and one instance leaving: each command ends once', async () => {
  const stays = await world.startInstance();
  const leaves = await world.startInstance();
  const devices = await Promise.all(Array.from({ length: 6 }, () => world.register()));
  const sent = await Promise.all(
    Array.from({ length: 90 }, async (_, index) => {
      const deviceId = devices[index % devices.length] ?? '';
      // Sent through either; what one has heard of the device the other has perhaps not.
      const { command } = await send(index % 2 === 0 ? stays : leaves, { deviceId, timeToLive: 'PT2S' });
      return { id: command.id, deviceId, index };
    }),
  );
  const chaos = sent.map(async ({ id, deviceId, index }) => {
    const ids = { commandId: id, deviceId, at: Date.now() };
    const signals = [
      () => world.signal({ type: 'io.fleetgraph.command.dispatched.v1', data: ids }),
      () => world.signal({ type: 'io.fleetgraph.command.received.v1', data: ids }),
      () => world.signal({ type: 'io.fleetgraph.command.acknowledged.v1', data: { ...ids, status: 'SUCCEEDED' } }),
    ];
    // A third is never answered and expires, a third is answered, a third is answered and canceled.
    const heard = index % 3 === 0 ? signals.slice(0, 2) : signals;
    await Promise.all([...heard, ...heard.toReversed()].map((give) => give()));
    if (index % 3 === 2) await stays.graphql(cancelMutation, { input: { id } });
  });
  await Promise.all([...chaos, leaves.stop()]);

  await eventually(async () => {
    for (const { id } of sent) expect((await read(stays, id))?.completedAt).not.toBeNull();
  }, 20_000);
  const finals = new Map<string, number>();
  for (const { id, index } of sent) {
    const history = await world.history(id);
    expect(history.map(({ revision }) => revision)).toEqual(history.map((_, position) => position + 1));
    const folded = history.reduce<Command | undefined>(evolve, undefined);
    const command = await read(stays, id);
    expect(command?.status).toBe(folded?.status);
    expect(folded && isFinal(folded.status)).toBe(true);
    const allowed = [['EXPIRED'], ['SUCCEEDED', 'EXPIRED'], ['SUCCEEDED', 'CANCELED', 'EXPIRED']][index % 3];
    expect(allowed).toContain(command?.status);
    const status = command?.status ?? '';
    finals.set(status, (finals.get(status) ?? 0) + 1);
  }
  const sums = await counted([stays, leaves]);
  expect(sums.get('QUEUED')).toBe(90);
  for (const [status, count] of finals) expect(sums.get(status)).toBe(count);
});

test('database connections that are cut while commands are on their way lose none of them', async () => {
  const instance = await world.startInstance();
  const deviceId = await world.register();
  await send(instance, { deviceId });
  let cutting = true;
  const cuts = (async () => {
    let cut = 0;
    while (cutting) {
      const { rows } = await world.database.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name IN ('actions', 'actions-prisma') AND random() < 0.5`,
      );
      cut += rows.length;
      await pause(40);
    }
    return cut;
  })();
  const accepted = new Set<string>();
  for (let index = 0; index < 40; index += 1) {
    const answered = index % 2 === 0;
    const timeToLive = answered ? 'PT10M' : 'PT2S';
    const input = { deviceId, name: 'cut', timeToLive, idempotencyKey: `cut-${index}` };
    // As a client that retries does: the same key until there is an answer.
    const id = await eventually(async () => {
      const { data, errors } = await instance.graphql<{ sendCommand: Sent }>(sendMutation, { input });
      expect(errors?.map(({ extensions }) => extensions?.code) ?? []).toEqual([]);
      return data?.sendCommand.command.id ?? '';
    });
    accepted.add(id);
    if (answered) {
      await world.signal({
        type: 'io.fleetgraph.command.acknowledged.v1',
        data: { commandId: id, deviceId, status: 'SUCCEEDED', at: Date.now() },
      });
    }
  }
  cutting = false;
  expect(await cuts).toBeGreaterThan(5);
  expect(accepted.size).toBe(40);
  const { rows: stored } = await world.database.pool.query(`SELECT id FROM actions.commands WHERE name = 'cut'`);
  expect(stored).toHaveLength(40);
  await eventually(async () => {
    const { rows } = await world.database.pool.query<{ type: string; count: bigint }>(
      `SELECT type, count(*) FROM events.events e JOIN actions.commands c ON e.stream = 'command-' || c.id
       WHERE c.name = 'cut' AND c.status::text = upper(split_part(e.type, '.', 4)) GROUP BY type ORDER BY type`,
    );
    expect(rows.map(({ type, count }) => [type.split('.')[3], count])).toEqual([
      ['expired', 20n],
      ['succeeded', 20n],
    ]);
  }, 15_000);
  expect((await world.database.pool.query('SELECT 1 FROM dead_letters.dead_letters')).rows).toEqual([]);
  await eventually(() => instance.role.ready());
});

test('a device that only the other instance has heard of is accepted by this one', async () => {
  const one = await world.startInstance();
  const two = await world.startInstance();
  for (let round = 0; round < 8; round += 1) {
    const deviceId = await world.register();
    const replies = await Promise.all([send(one, { deviceId }), send(two, { deviceId })]);
    expect(replies.map(({ command }) => command.deviceId)).toEqual([deviceId, deviceId]);
  }
});

test('a role that is stopped serves nothing more and can be stopped again', async () => {
  const instance = await world.startInstance();
  const url = `http://127.0.0.1:${instance.role.port()}/healthz`;
  expect((await fetch(url)).status).toBe(200);
  await instance.role.stop();
  await expect(fetch(url)).rejects.toThrow();
  await instance.role.stop();
});

test('a role whose port is taken says so, and leaves nothing running behind', async () => {
  const first = await world.startInstance();
  const taken = String(first.role.port());
  await expect(world.startInstance({ ACTIONS_PORT: taken })).rejects.toThrow(`Port ${taken}`);
  expect((await fetch(`http://127.0.0.1:${taken}/healthz`)).status).toBe(200);
});
