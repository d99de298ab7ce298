/** Projections are rebuilt beside the live ones, which go on being written, and are the same in the end. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Registry } from 'prom-client';
import type { DomainEventType, EventData } from '../../../../backbone/events/catalogue.js';
import { makeEvent, type Event } from '../../../../backbone/events/envelope.js';
import { append } from '../../../../backbone/store/event-store.js';
import { inTransaction, sqlOf } from '../../../../platform/database/sql.js';
import { applyEvents } from '../../../../workers/projector/events/apply-events.js';
import { createProjectorMetrics } from '../../../../workers/projector/projector-metrics.js';
import {
  replayable,
  type ReplayableProjection,
  type Replayed,
} from '../../../../workers/projector/replay/rebuilding.js';
import { removeAbandoned, replayProjection } from '../../../../workers/projector/replay/replay.js';
import { applyTelemetry } from '../../../../workers/projector/telemetry/apply-telemetry.js';
import { createReadingPartitions } from '../../../../workers/projector/telemetry/reading-partitions.js';
import { createDatabase, silentLog, type TestDatabase } from '../../../world/database.js';
import { eventually } from '../../../world/eventually.js';

const tenant = 'acme';
const tables: Readonly<Record<ReplayableProjection, readonly string[]>> = {
  registry: ['devices'],
  commands: ['commands'],
  alerts: ['alerts'],
  rules: ['rules'],
  twins: ['device_twins'],
  rollups: ['rollups_1m', 'rollups_1h'],
  states: ['device_states'],
};

let database: TestDatabase;
const revisions = new Map<string, number>();
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const replay = (projection: string, from?: Date, onProgress?: () => Promise<void>): Promise<Replayed> =>
  replayProjection({
    databaseUrl: database.url,
    projection,
    telemetryRetentionDays: 30,
    ...(from ? { from } : {}),
    ...(onProgress ? { onProgress } : {}),
  });

async function store<T extends DomainEventType>(
  stream: string,
  type: T,
  data: EventData<T>,
  time = new Date(),
): Promise<Event<DomainEventType>> {
  const subject = 'deviceId' in data ? data.deviceId : stream;
  const event = makeEvent({ source: '/test', type, subject, tenant, data, time: time.toISOString() });
  const expectedRevision = revisions.get(stream) ?? 0;
  await inTransaction(database.pool, (sql) =>
    append(sql, { tenant, stream, expectedRevision, events: [event as Event<DomainEventType>] }),
  );
  revisions.set(stream, expectedRevision + 1);
  return event as Event<DomainEventType>;
}

function definition(ruleId: string, version: number): EventData<'io.fleetgraph.rule.created.v1'> {
  return {
    ruleId,
    version,
    name: 'Hot',
    enabled: version > 1,
    severity: 'CRITICAL',
    selector: {},
    actions: [],
    condition: { when: `celsius > ${80 + version}`, terms: [] },
  };
}

/** One device's whole story; `time` is that of its events. */
async function story(device: string, time = new Date()): Promise<readonly Event<DomainEventType>[]> {
  const [command, alert, rule] = [randomUUID(), randomUUID(), randomUUID()];
  const stream = `device-${device}`;
  const at = time.toISOString();
  const labels = { site: 'north' };
  return [
    await store(
      stream,
      'io.fleetgraph.device.registered.v1',
      { deviceId: device, name: device, typeId: 'boiler', labels },
      time,
    ),
    await store(
      stream,
      'io.fleetgraph.device.desired-state-set.v1',
      { deviceId: device, version: 1, desired: { celsius: 21 } },
      time,
    ),
    await store(
      stream,
      'io.fleetgraph.device.reported-state-changed.v1',
      { deviceId: device, version: 1, reported: { celsius: 20 } },
      time,
    ),
    await store(
      `command-${command}`,
      'io.fleetgraph.command.requested.v1',
      {
        commandId: command,
        deviceId: device,
        name: 'setpoint',
        parameters: { celsius: 21 },
        expiresAt: '2030-01-01T00:00:00.000Z',
      },
      time,
    ),
    await store(`command-${command}`, 'io.fleetgraph.command.sent.v1', { commandId: command, deviceId: device }, time),
    await store(`rule-${rule}`, 'io.fleetgraph.rule.created.v1', definition(rule, 1), time),
    await store(`rule-${rule}`, 'io.fleetgraph.rule.updated.v1', definition(rule, 2), time),
    await store(
      `alert-${alert}`,
      'io.fleetgraph.alert.raised.v1',
      {
        alertId: alert,
        deviceId: device,
        ruleId: rule,
        ruleName: 'Hot',
        severity: 'CRITICAL',
        at,
        readings: [],
        count: 1,
        actions: [],
      } as unknown as EventData<'io.fleetgraph.alert.raised.v1'>,
      time,
    ),
  ];
}

const apply = (events: readonly Event<DomainEventType>[]) => applyEvents(database, 0, events);

async function contents(projection: ReplayableProjection): Promise<unknown> {
  return Promise.all(
    tables[projection].map(async (table) => {
      const { rows } = await database.pool.query<Record<string, unknown>>(
        `SELECT to_jsonb(t) AS row FROM projections.${table} t ORDER BY to_jsonb(t)::text`,
      );
      return rows;
    }),
  );
}

/** Indexes, settings and rights of the tables: what a rebuilt one could lose. */
async function shape(projection: ReplayableProjection): Promise<unknown> {
  const { rows } = await database.pool.query(
    `SELECT c.relname, c.reloptions, c.relacl::text,
            (SELECT array_agg(indexdef ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'projections' AND tablename = c.relname),
            (SELECT array_agg(attname || ' ' || attnotnull || coalesce(pg_get_expr(adbin, adrelid), '') ORDER BY attnum)
             FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = c.oid AND attnum > 0)
     FROM pg_class c WHERE c.relnamespace = 'projections'::regnamespace AND c.relname = ANY($1) ORDER BY 1`,
    [tables[projection]],
  );
  return rows;
}

const oids = async (projection: ReplayableProjection): Promise<unknown> =>
  (
    await database.pool.query(
      `SELECT oid FROM pg_class WHERE relnamespace = 'projections'::regnamespace AND relname = ANY($1) ORDER BY relname`,
      [tables[projection]],
    )
  ).rows;

const leftovers = async (): Promise<number> =>
  (await database.pool.query(`SELECT 1 FROM pg_namespace WHERE nspname = 'replay'`)).rowCount ?? 0;

test.each(['registry', 'commands', 'alerts', 'rules', 'twins'] as const)(
  '%s: rebuilt is as the live one, which is written all the time; an event that it has not had is not in it',
  async (projection) => {
    for (let device = 0; device < 40; device += 1) await apply(await story(`${projection}-${device}`));
    await database.pool.query(`GRANT SELECT ON projections.${tables[projection].join()} TO PUBLIC`);
    const [formerShape, formerOids] = [await shape(projection), await oids(projection)];
    // Stored and not applied yet: the live one gets it after the switch, once.
    const late = await story(`${projection}-late`);
    const during: Promise<unknown>[] = [];
    let written = 0;
    const replayed = await replay(projection, undefined, async () => {
      for (let more = 0; more < 3; more += 1) {
        const events = await story(`${projection}-during-${(written += 1)}`);
        during.push(apply(events));
      }
    });
    await Promise.all(during);
    expect(written).toBeGreaterThan(0);
    expect(replayed.mended ?? 0).toBe(0);
    expect(await oids(projection)).not.toEqual(formerOids);
    expect(await shape(projection)).toEqual(formerShape);
    await apply(late);
    const live = await contents(projection);
    expect(live).not.toEqual([[]]);
    // Once more, with nothing going on: the same again.
    await replay(projection);
    expect(await contents(projection)).toEqual(live);
    expect(await leftovers()).toBe(0);
  },
);

test('what the live one has had is in the rebuilt one, also while somebody on the server writes all the time', async () => {
  const writer = await database.pool.connect();
  try {
    await writer.query('BEGIN');
    await writer.query('SELECT pg_current_xact_id()');
    await apply(await story(`behind-${randomUUID()}`));
    const live = await contents('commands');
    await replay('commands');
    expect(await contents('commands')).toEqual(live);
  } finally {
    await writer.query('ROLLBACK');
    writer.release();
  }
});

test('what was wrong is mended, clients are told of it, and with --from the rest is kept', async () => {
  const [old, recent] = [`old-${randomUUID()}`, `recent-${randomUUID()}`];
  await apply(await story(old, new Date(Date.now() - 86_400_000)));
  await apply(await story(recent));
  const wrong = `UPDATE projections.device_twins SET document = '{"wrong": true}' WHERE device_id = ANY($1)`;
  await database.pool.query(wrong, [[old, recent]]);
  const { mended } = await replay('twins', new Date(Date.now() - 3_600_000));
  expect(mended).toBe(1);
  const { rows } = await database.pool.query<{ device_id: string; wrong: boolean; version: number }>(
    `SELECT device_id, document ? 'wrong' AS wrong, version FROM projections.device_twins WHERE device_id = ANY($1) ORDER BY 1`,
    [[old, recent]],
  );
  expect(rows).toEqual([
    { device_id: old, wrong: true, version: 2 },
    { device_id: recent, wrong: false, version: 3 },
  ]);
  const { rows: changes } = await database.pool.query<{ version: bigint; payload: { desired: unknown } }>(
    `SELECT version, payload FROM projections.changes WHERE entity_id = $1 AND entity = 'twin' ORDER BY seq DESC LIMIT 1`,
    [recent],
  );
  expect(changes).toMatchObject([{ version: 3n, payload: { desired: { celsius: 21 } } }]);
  expect((await replay('twins')).mended).toBe(1);
});

/** Stores readings of a device, of two metrics: the newest `ageMs` ago, one a second. */
function telemetry() {
  const options = {
    pool: database.pool,
    partitions: createReadingPartitions(database),
    retentionDays: 30,
    maxFutureMs: 60_000,
    metrics: createProjectorMetrics(new Registry()),
    log: silentLog,
  };
  const now = Date.now();
  return (device: string, ageMs: number, count: number) =>
    applyTelemetry(options, [
      makeEvent({
        source: '/bridge',
        type: 'io.fleetgraph.telemetry.received.v1',
        subject: device,
        tenant,
        data: {
          deviceId: device,
          // Quarters: their sums are the same in any order.
          readings: Array.from({ length: count }, (_, index) => ({
            metric: index % 7 === 0 ? 'mode' : 'celsius',
            at: now - ageMs - index * 1_000,
            value: index % 7 === 0 ? `m${index % 3}` : index / 4,
          })),
        },
      }),
    ]);
}

test('rollups: rebuilt of the readings, while more are stored, late ones too; older ones are kept', async () => {
  const now = Date.now();
  const send = telemetry();
  for (let device = 0; device < 8; device += 1) {
    await send(`r${device}`, 0, 900);
    await send(`r${device}`, 3 * 86_400_000, 300);
  }
  // From before the readings that are kept: nothing to be rebuilt of.
  for (const table of tables.rollups)
    await database.pool.query(
      `INSERT INTO projections.${table} SELECT device_id, metric, bucket - interval '60 days', tenant, count, sum, min, max, last_at, last_number, last_other
       FROM projections.${table} WHERE device_id = 'r0'`,
    );
  const [before, formerShape] = [await contents('rollups'), await shape('rollups')];
  let written = 0;
  const during: Promise<unknown>[] = [];
  const { read } = await replay('rollups', undefined, async () => {
    written += 1;
    during.push(send(`during-${written}`, written * 7_000, 50), send('r1', 40 * 60_000 + written * 333, 5));
    await Promise.all(during);
  });
  await Promise.all(during);
  expect(read).toBeGreaterThanOrEqual(8 * 1_200);
  expect(await shape('rollups')).toEqual(formerShape);
  const live = await contents('rollups');
  expect(live).not.toEqual(before);
  await database.pool.query(
    `UPDATE projections.rollups_1m SET count = count + 1 WHERE bucket > now() - interval '1 day'`,
  );
  await replay('rollups', new Date(now - 2 * 86_400_000));
  expect(await contents('rollups')).toEqual(live);
  expect(await leftovers()).toBe(0);
  await expect(replay('rollups', new Date(now - 40 * 86_400_000))).rejects.toThrow('kept for 30 days');
});

test('states: the last readings are found again in the series, while more come; presence stays, and clients are told', async () => {
  const send = telemetry();
  const hour = 3_600_000;
  // More devices than are looked at together, one of them with a metric that has been silent for long.
  const devices = Array.from({ length: 230 }, (_, index) => `s${String(index).padStart(3, '0')}`);
  for (const device of devices) await send(device, 0, 30);
  await send('s000', 50 * hour, 30);
  await send('s001', hour, 30);
  const states = async (): Promise<readonly { id: string; metrics: object; presence: unknown }[]> => {
    const { rows } = await database.pool.query<{ id: string; metrics: object; presence: unknown }>(
      `SELECT device_id AS id, metrics, jsonb_build_array(online, presence_session, last_seen) AS presence
       FROM projections.device_states WHERE device_id LIKE 's___' ORDER BY 1`,
    );
    return rows;
  };
  await database.pool.query(
    `UPDATE projections.device_states SET online = true, presence_session = 7 WHERE device_id = 's002'`,
  );
  const live = await states();
  expect(await replay('states')).toMatchObject({ mended: 0 });
  expect(await states()).toEqual(live);

  const wrong = `jsonb_set(metrics, '{celsius,value}', '"wrong"') || '{"never": {"at": 1, "value": 1}}'`;
  await database.pool.query(
    `UPDATE projections.device_states SET metrics = ${wrong} WHERE device_id BETWEEN 's000' AND 's019'`,
  );
  await database.pool.query(`UPDATE projections.device_states SET metrics = '{}' WHERE device_id = 's220'`);
  let written = 0;
  const during: Promise<unknown>[] = [];
  const { read, mended } = await replay('states', undefined, async () => {
    written += 1;
    during.push(send('during', -written, 5));
    await Promise.all(during);
  });
  expect(written).toBeGreaterThan(1);
  expect([read, mended]).toEqual([expect.any(Number), 21]);
  expect(read).toBeGreaterThanOrEqual(2 * devices.length);
  expect(await states()).toEqual(live);
  const { rows: changes } = await database.pool.query<{ id: string; seq: string; payload: object }>(
    `SELECT entity_id AS id, payload FROM projections.changes WHERE entity = 'device' AND entity_id IN ('s003', 's100') ORDER BY seq DESC`,
  );
  expect(changes.map(({ id }) => id)).toEqual(['s003', 's100', 's003']);
  expect(changes[0]?.payload).toMatchObject({ state: { version: '2', metrics: live[3]?.metrics }, readings: [] });

  // With --from, what is older stays as it is, right or wrong.
  await database.pool.query(`UPDATE projections.device_states SET metrics = ${wrong} WHERE device_id = 's010'`);
  expect(await replay('states', new Date(Date.now() - hour))).toMatchObject({ mended: 1 });
  const [mendedOne] = (await states()).filter(({ id }) => id === 's010');
  expect(mendedOne?.metrics).toEqual({ ...live[10]?.metrics, never: { at: 1, value: 1 } });
  expect(await replay('states')).toMatchObject({ mended: 1 });

  // A state that is gone comes back of what is known.
  await database.pool.query(`DELETE FROM projections.device_states WHERE device_id = 's004'`);
  expect(await replay('states')).toMatchObject({ mended: 1 });
  const [again] = (await states()).filter(({ id }) => id === 's004');
  expect(again?.metrics).toEqual(live[4]?.metrics);
});

test('refuses what can not be, and two at once; one that dies leaves the live one as it is, and its remains go', async () => {
  await expect(replay('weather')).rejects.toThrow(`There are ${Object.keys(replayable).join(', ')}.`);
  await expect(replay('twins', new Date(Date.now() + 60_000))).rejects.toThrow('in the past');
  await apply(await story('dying'));
  const live = await contents('registry');
  let dead = false;
  const dying = replay('registry', undefined, async () => {
    if (dead) return;
    await expect(replay('commands')).rejects.toMatchObject({ code: 'CONFLICT' });
    await removeAbandoned(sqlOf(database.pool));
    expect(await leftovers()).toBe(1);
    await database.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fleetgraph-replay' AND datname = current_database()`,
    );
    dead = true;
  });
  await expect(dying).rejects.toThrow();
  expect(dead).toBe(true);
  expect(await leftovers()).toBe(1);
  expect(await contents('registry')).toEqual(live);
  const client = await database.pool.connect();
  await eventually(async () => {
    await removeAbandoned(sqlOf(client));
    expect(await leftovers()).toBe(0);
  });
  client.release();
  await replay('registry');
  expect(await contents('registry')).toEqual(live);
});
