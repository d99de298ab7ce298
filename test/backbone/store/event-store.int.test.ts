/** Streams: appended to by one at a time, never changed, in one transaction with what the caller writes beside. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeEvent } from '../../../backbone/events/envelope.js';
import { append, appendAll } from '../../../backbone/store/event-store.js';
import { createPrisma, type PrismaClient } from '../../../platform/database/prisma.js';
import { inTransaction, sqlOf, sqlOfPrisma, type Sql } from '../../../platform/database/sql.js';
import { createDatabase, type TestDatabase } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';

let database: TestDatabase;
let prisma: PrismaClient;
beforeAll(async () => {
  database = await createDatabase();
  prisma = createPrisma({ url: database.url, size: 4, applicationName: 'store-test' });
});
afterAll(async () => {
  await prisma.$disconnect();
  await database[Symbol.asyncDispose]();
});

const event = (name: string) =>
  makeEvent({
    type: 'io.fleetgraph.device.registered.v1',
    source: '/test',
    subject: 'd',
    tenant: 'acme',
    data: { deviceId: 'd', name, typeId: 'generic', labels: { 'ключ "1"': "it's" } },
    actor: 'tester',
    correlationid: 'c-1',
  });

async function namesOf(stream: string): Promise<string[]> {
  const rows = await sqlOf(database.pool).query<{ name: string }>(
    `SELECT data->>'name' AS name FROM events.events WHERE tenant = 'acme' AND stream = $1 ORDER BY revision`,
    [stream],
  );
  return rows.map(({ name }) => name);
}

/** Both drivers: the hot paths' and that of the write models. */
const drivers: [string, (work: (sql: Sql) => Promise<unknown>) => Promise<unknown>][] = [
  ['pg', (work) => inTransaction(database.pool, work)],
  ['Prisma', (work) => prisma.$transaction((transaction) => work(sqlOfPrisma(transaction)))],
];

test.each(drivers)('%s: events come back as they went in, with revisions from 1', async (driver, transact) => {
  const stream = `whole-${driver}`;
  const [first, second] = [event('first'), event('second')];
  await transact(async (sql) => {
    expect(await append(sql, { tenant: 'acme', stream, expectedRevision: 0, events: [first, second] })).toBe(2);
  });
  const { rows } = await database.pool.query(
    'SELECT id, revision, type, source, subject, data, actor, correlation_id FROM events.events WHERE stream = $1 ORDER BY revision',
    [stream],
  );
  expect(rows).toEqual(
    [first, second].map(({ id, type, source, subject, data, actor, correlationid }, index) => ({
      id,
      type,
      source,
      subject,
      data,
      actor,
      revision: index + 1,
      correlation_id: correlationid,
    })),
  );
});

test.each(drivers)(
  '%s: who decided on an old revision is told CONFLICT, and nothing of his is kept',
  async (driver, transact) => {
    const stream = `stale-${driver}`;
    const request = (name: string) => ({
      tenant: 'acme',
      stream,
      expectedRevision: 0,
      events: [event(name), event(`${name} 2`)],
    });
    await transact((sql) => append(sql, request('winner')));
    await expect(transact((sql) => append(sql, request('loser')))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `${stream} was changed by someone else at the same time. Read it again and retry.`,
    });
    expect(await namesOf(stream)).toEqual(['winner', 'winner 2']);
  },
);

test.each(drivers)(
  '%s: of two at the same time one waits for the other, and is told CONFLICT',
  async (driver, transact) => {
    const stream = `race-${driver}`;
    const request = (name: string) => ({ tenant: 'acme', stream, expectedRevision: 0, events: [event(name)] });
    const client = await database.pool.connect();
    await client.query('BEGIN');
    await append(sqlOf(client), request('first'));
    const second = transact((sql) => append(sql, request('second')));
    const outcome = expect(second).rejects.toMatchObject({ code: 'CONFLICT' });
    await eventually(async () => {
      const { rows } = await database.pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      expect(rows).toHaveLength(1);
    });
    await client.query('COMMIT');
    client.release();
    await outcome;
    expect(await namesOf(stream)).toEqual(['first']);
  },
);

test('of many who append behind the same revision exactly one wins', async () => {
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, (_unused, index) =>
      inTransaction(database.pool, (sql) =>
        append(sql, { tenant: 'acme', stream: 'crowd', expectedRevision: 0, events: [event(String(index))] }),
      ),
    ),
  );
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(await namesOf('crowd')).toHaveLength(1);
});

test('several streams are appended to together, or not at all', async () => {
  const request = (stream: string, expectedRevision: number) => ({
    tenant: 'acme',
    stream,
    expectedRevision,
    events: [event(`${stream} ${expectedRevision + 1}`)],
  });
  await inTransaction(database.pool, (sql) => appendAll(sql, [request('many-a', 0), request('many-b', 0)]));
  await expect(
    inTransaction(database.pool, (sql) => appendAll(sql, [request('many-a', 1), request('many-b', 0)])),
  ).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('One of the streams') as string });
  expect(await namesOf('many-a')).toEqual(['many-a 1']);
  expect(await namesOf('many-b')).toEqual(['many-b 1']);
});

test('a stream of the same name of another tenant is another stream', async () => {
  for (const tenant of ['acme', 'rival'])
    await inTransaction(database.pool, (sql) =>
      append(sql, { tenant, stream: 'shared-name', expectedRevision: 0, events: [{ ...event('x'), tenant }] }),
    );
  expect(await namesOf('shared-name')).toHaveLength(1);
});

test('what the caller wrote beside is gone with the events when the append is refused', async () => {
  await database.pool.query('CREATE TABLE beside (name text)');
  await inTransaction(database.pool, (sql) =>
    append(sql, { tenant: 'acme', stream: 'beside', expectedRevision: 0, events: [event('there')] }),
  );
  await expect(
    inTransaction(database.pool, async (sql) => {
      await sql.query(`INSERT INTO beside VALUES ('orphan')`);
      await append(sql, { tenant: 'acme', stream: 'beside', expectedRevision: 0, events: [event('late')] });
    }),
  ).rejects.toThrow();
  expect((await database.pool.query('SELECT * FROM beside')).rows).toEqual([]);
});

test.each(['UPDATE events.events SET type = type', 'DELETE FROM events.events', 'TRUNCATE events.events'])(
  'history is not rewritten: %s is refused',
  async (statement) => {
    await inTransaction(database.pool, (sql) =>
      append(sql, { tenant: 'acme', stream: `kept-${statement}`, expectedRevision: 0, events: [event('kept')] }),
    );
    await expect(database.pool.query(statement)).rejects.toThrow(/append-only/);
    expect(await namesOf(`kept-${statement}`)).toEqual(['kept']);
  },
);
