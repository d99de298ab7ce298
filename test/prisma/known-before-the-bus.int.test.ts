/** What copies know of devices, types and rules that are older than what the bus keeps: the migration that tells them. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DomainEventType, EventData } from '../../backbone/events/catalogue.js';
import { makeEvent, type Event } from '../../backbone/events/envelope.js';
import { append } from '../../backbone/store/event-store.js';
import { inTransaction } from '../../platform/database/sql.js';
import { createDatabase, type TestDatabase } from '../world/database.js';

let database: TestDatabase;
let migration: string;
beforeAll(async () => {
  database = await createDatabase();
  const file = new URL('../../prisma/migrations/20261126002400_known_before_the_bus/migration.sql', import.meta.url);
  migration = await readFile(file, 'utf8');
});
afterAll(() => database[Symbol.asyncDispose]());

const revisions = new Map<string, number>();
async function store<T extends DomainEventType>(stream: string, type: T, data: EventData<T>): Promise<void> {
  const subject = stream.replace(/^(device-type|device|rule)-/, '');
  const event = makeEvent({ source: '/test', type, subject, tenant: 'acme', data }) as Event<DomainEventType>;
  const expectedRevision = revisions.get(stream) ?? 0;
  await inTransaction(database.pool, (sql) =>
    append(sql, { tenant: 'acme', stream, expectedRevision, events: [event] }),
  );
  revisions.set(stream, expectedRevision + 1);
}

const device = (deviceId: string, site: string) => ({ deviceId, name: deviceId, typeId: 'boiler', labels: { site } });

function rule(ruleId: string, version: number): EventData<'io.fleetgraph.rule.created.v1'> {
  return {
    ruleId,
    version,
    name: `Rule ${version}`,
    enabled: true,
    severity: 'WARNING',
    selector: {},
    actions: [],
    condition: { when: 'celsius > 80', terms: [] },
  };
}

const rows = async (query: string): Promise<readonly object[]> => (await database.pool.query<object>(query)).rows;

test('copies are given what the event store says last; what they know already stays; done again, nothing changes', async () => {
  await store('device-d1', 'io.fleetgraph.device.registered.v1', device('d1', 'north'));
  await store('device-d1', 'io.fleetgraph.device.updated.v1', device('d1', 'south'));
  await store('device-d2', 'io.fleetgraph.device.registered.v1', device('d2', 'north'));
  await store('device-d2', 'io.fleetgraph.device.decommissioned.v1', { deviceId: 'd2' });
  await store('device-known', 'io.fleetgraph.device.registered.v1', device('known', 'north'));
  const define = (celsius: 'NUMBER' | 'STRING') =>
    store('device-type-boiler', 'io.fleetgraph.device-type.defined.v1', {
      typeId: 'boiler',
      name: 'Boiler',
      decoder: 'json',
      metrics: [{ name: 'celsius', kind: celsius, unit: '°C' }],
      commands: [{ name: 'reboot' }],
    });
  await define('STRING');
  await define('NUMBER');
  await store('rule-r1', 'io.fleetgraph.rule.created.v1', rule('r1', 1));
  await store('rule-r1', 'io.fleetgraph.rule.updated.v1', rule('r1', 2));
  await store('rule-r2', 'io.fleetgraph.rule.created.v1', rule('r2', 1));
  await store('rule-r2', 'io.fleetgraph.rule.deleted.v1', { ruleId: 'r2', version: 2 });
  await store('rule-known', 'io.fleetgraph.rule.created.v1', rule('known', 1));
  // As the consumers have heard: further than what this migration can see.
  await database.pool.query(
    `INSERT INTO orchestrator.devices (id, tenant, type_id, labels, active) VALUES ('known', 'acme', 'boiler', '{"site": "east"}', true)`,
  );
  await database.pool.query(
    `INSERT INTO orchestrator.rules (id, tenant, definition, version, change) VALUES ('known', 'acme', NULL, 7, 1)`,
  );
  await database.pool.query('UPDATE orchestrator.rule_clock SET change = 1');

  const known = async () => ({
    targets: await rows(
      'SELECT device_id, tenant, active, revision, type_id, labels FROM actions.command_targets ORDER BY 1',
    ),
    devices: await rows('SELECT * FROM orchestrator.devices ORDER BY id'),
    types: await rows('SELECT tenant, type_id, commands FROM actions.command_target_types'),
    declarations: await rows('SELECT * FROM actions.metric_declarations'),
    rules: await rows(
      `SELECT id, tenant, definition->>'name' AS name, version, change::int FROM orchestrator.rules ORDER BY change`,
    ),
    clock: await rows('SELECT change::int FROM orchestrator.rule_clock'),
  });
  await database.pool.query(migration);
  const boiler = { tenant: 'acme', type_id: 'boiler' };
  expect(await known()).toEqual({
    targets: [
      { ...boiler, device_id: 'd1', active: true, revision: 1, labels: { site: 'south' } },
      { ...boiler, device_id: 'd2', active: false, revision: 2, labels: { site: 'north' } },
      { ...boiler, device_id: 'known', active: true, revision: 1, labels: { site: 'north' } },
    ],
    devices: [
      { ...boiler, id: 'd1', active: true, labels: { site: 'south' } },
      { ...boiler, id: 'd2', active: false, labels: { site: 'north' } },
      { ...boiler, id: 'known', active: true, labels: { site: 'east' } },
    ],
    types: [{ ...boiler, commands: [{ name: 'reboot' }] }],
    declarations: [{ ...boiler, metrics: [{ name: 'celsius', kind: 'NUMBER' }] }],
    rules: [
      { id: 'known', tenant: 'acme', name: null, version: 7, change: 1 },
      { id: 'r1', tenant: 'acme', name: 'Rule 2', version: 2, change: 2 },
      { id: 'r2', tenant: 'acme', name: null, version: 2, change: 3 },
    ],
    clock: [{ change: 3 }],
  });
  const after = await known();
  await database.pool.query(migration);
  expect(await known()).toEqual(after);
});
