import { afterAll, beforeAll, expect, test } from 'vitest';
import { Registry } from 'prom-client';
import { topics, topicOptions } from '../../../backbone/bus/topics.js';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { decodeChange, type Change } from '../../../backbone/changes/change.js';
import { encode, makeEvent } from '../../../backbone/events/envelope.js';
import { readConfig } from '../../../platform/config/config.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import { createProjectorRole } from '../../../workers/projector/projector.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { storedStates } from './stored-telemetry.js';
import { telemetry } from './telemetry-model.js';

let database: TestDatabase;
let bus: EventBus;
let projector: Role;
let busDown = false;
const metrics = new Registry();
const published: Change[] = [];

beforeAll(async () => {
  database = await createDatabase();
  bus = createPostgresBus({ pool: database.pool, databaseUrl: database.url, log: silentLog, metrics });
  await bus.ensureTopics(topicOptions({ partitions: 2, retentionMs: 3_600_000 }));
  await bus.tail([topics.changes], (records) => void published.push(...records.map(decodeChange)));
  const config = readConfig({ NODE_ENV: 'test' });
  projector = createProjectorRole({
    config,
    log: silentLog,
    metrics,
    pool: database.pool,
    bus: {
      ...bus,
      // The bus fails for what the projector publishes, while it still brings what devices say.
      publish: (topic, records) => (busDown ? Promise.reject(new Error('away')) : bus.publish(topic, records)),
    },
  });
  await projector.start();
});
afterAll(async () => {
  await projector.stop();
  await bus.close();
  await database[Symbol.asyncDispose]();
});

const presence = (deviceId: string, online: boolean, session: number) =>
  encode(
    makeEvent({
      source: '/bridge',
      type: 'io.fleetgraph.presence.changed.v1',
      subject: deviceId,
      tenant: 'acme',
      data: { deviceId, online, session, at: session, reason: 'connected' },
    }),
  );

const send = (deviceId: string, value: number) =>
  bus.publish(topics.telemetry, [
    encode(telemetry('acme', deviceId, [{ metric: 'm', atMicros: Date.now() * 1_000, value }])),
  ]);

test('publishes what it logs, with the same number and payload', async () => {
  await send('published', 1);
  await bus.publish(topics.signals, [presence('published', true, 100)]);
  await eventually(() => expect(published.filter(({ id }) => id === 'published')).toHaveLength(2));
  const { rows } = await database.pool.query<{ seq: bigint; payload: unknown }>(
    `SELECT seq, payload FROM projections.changes WHERE entity_id = 'published' ORDER BY seq`,
  );
  expect(
    published
      .filter(({ id }) => id === 'published')
      .sort((a, b) => Number(a.seq - b.seq))
      .map(({ seq, payload }) => ({ seq, payload })),
  ).toEqual(rows);
});

test('goes on when changes can not be published: they are in the log, and counted', async () => {
  busDown = true;
  await send('unpublished', 1);
  await eventually(async () =>
    expect((await storedStates(database.pool, 'acme')).get('unpublished')?.version).toBe(1n),
  );
  await eventually(async () => {
    const metric = await metrics.getSingleMetric('fleetgraph_projector_changes_unpublished_total')?.get();
    expect(metric?.values[0]?.value).toBe(1);
  });
  busDown = false;
  await send('unpublished', 2);
  await eventually(() => expect(published.filter(({ id }) => id === 'unpublished')).toHaveLength(1));
  await expect(projector.ready()).resolves.toBeUndefined();
});

test('a reset between two signals of a partition takes effect between them', async () => {
  const reset = encode(
    makeEvent({
      source: '/bridge',
      type: 'io.fleetgraph.presence.reset.v1',
      subject: 'broker',
      tenant: 'acme',
      data: { session: 500, at: 500 },
    }),
  );
  await bus.publish(topics.signals, [
    { ...presence('before', true, 100), partition: 0 },
    { ...reset, partition: 0 },
    { ...presence('after', true, 600), partition: 0 },
  ]);
  await eventually(async () => {
    const states = await storedStates(database.pool, 'acme');
    expect([states.get('before')?.online, states.get('after')?.online]).toEqual([false, true]);
  });
});
