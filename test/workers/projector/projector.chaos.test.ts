import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../../backbone/bus/topics.js';
import { microsOf } from '../../../backbone/changes/time-series.js';
import { encode, makeEvent } from '../../../backbone/events/envelope.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { eventually, within } from '../../world/eventually.js';
import { storedReadings, storedRollups, storedStates } from './stored-telemetry.js';
import { latestModel, rawModel, rollupModel, telemetry, type TelemetryEvent } from './telemetry-model.js';

let database: TestDatabase;
let bus: EventBus;
const running = new Set<ChildProcess>();
beforeAll(async () => {
  database = await createDatabase();
  bus = createPostgresBus({ pool: database.pool, databaseUrl: database.url, log: silentLog, metrics: new Registry() });
  await bus.ensureTopics(topicOptions({ partitions: 3, retentionMs: 3_600_000 }));
});
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await bus.close();
  await database[Symbol.asyncDispose]();
});

async function startProjector(): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('projector-process.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, database.url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  await within(once(child.stdout, 'data'), 30_000, 'starting a projector');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  running.delete(child);
}

const count = async (table: string): Promise<number> => {
  const { rows } = await database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM projections.${table}`);
  return rows[0]?.n ?? 0;
};

test('projectors that are killed in the middle of the stream leave what one that never died would have left', async () => {
  const tenant = 'acme';
  const start = Date.now() * 1_000 - microsOf.hour;
  const sent: TelemetryEvent[] = [];
  let devices = 0;
  let publishing = true;
  const publisher = (async () => {
    for (let n = 0; publishing; n += 1) {
      const batch = Array.from({ length: 20 }, (_, k) =>
        telemetry(tenant, `device-${k % 7}`, [
          // Neighbours are late and repeated now and then.
          { metric: 'n', atMicros: start + ((n * 20 + k) % 13 === 0 ? n * 20 : n * 20 + k) * 250_000, value: k },
        ]),
      );
      sent.push(...batch);
      await bus.publish(topics.telemetry, batch.map(encode));
      const deviceId = `registered-${(devices += 1)}`;
      await bus.publish(topics.events, [
        encode(
          makeEvent({
            source: '/test',
            type: 'io.fleetgraph.device.registered.v1',
            subject: deviceId,
            tenant,
            data: { deviceId, name: deviceId, typeId: 'boiler', labels: {} },
          }),
        ),
      ]);
      await pause(5);
    }
  })();
  for (let round = 0; round < 3; round += 1) {
    const before = await count('changes');
    const child = await startProjector();
    await eventually(async () => expect(await count('changes')).toBeGreaterThan(before + 40), 20_000);
    await kill(child);
  }
  publishing = false;
  await publisher;
  const last = await startProjector();
  await eventually(async () => {
    expect(await bus.lag('projector-telemetry').then((lag) => lag.get(topics.telemetry))).toBe(0);
    expect(await count('event_log')).toBe(devices);
  }, 40_000);
  await kill(last);

  const raw = await storedReadings(database.pool, tenant);
  expect(new Set(raw.keys())).toEqual(new Set(rawModel(sent).keys()));
  expect(await storedRollups(database.pool, 'rollups_1m', tenant)).toEqual(rollupModel(raw.values(), microsOf.minute));
  expect(await storedRollups(database.pool, 'rollups_1h', tenant)).toEqual(rollupModel(raw.values(), microsOf.hour));
  const states = await storedStates(database.pool, tenant);
  expect(new Map([...states].map(([id, { metrics }]) => [id, metrics]))).toEqual(latestModel(raw.values()));
  expect(await count('devices')).toBe(devices);

  // The log: no gap, each reading in it once, each device's versions one by one.
  const { rows: changes } = await database.pool.query<{
    seq: bigint;
    entity: string;
    entity_id: string;
    version: bigint;
    payload: { readings?: { metric: string; at: number }[] };
  }>('SELECT seq, entity, entity_id, version, payload FROM projections.changes WHERE tenant = $1 ORDER BY seq', [
    tenant,
  ]);
  expect(changes.map(({ seq }) => Number(seq))).toEqual(changes.map((_, index) => index + 1));
  const logged = changes.flatMap(({ entity_id: id, payload }) =>
    (payload.readings ?? []).map(({ metric, at }) => `${id}/${metric}/${Math.round(at * 1_000)}`),
  );
  expect(logged).toHaveLength(raw.size);
  expect(new Set(logged)).toEqual(new Set(raw.keys()));
  for (const id of states.keys()) {
    const versions = changes.filter((each) => each.entity_id === id).map(({ version }) => Number(version));
    expect(versions).toEqual(versions.map((_, index) => index + 1));
  }
}, 120_000);
