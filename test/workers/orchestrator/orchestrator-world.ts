/** A bus and a database with orchestrators on them, in this process or in their own; what they say is read from the event store. */
import { randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../../backbone/bus/topics.js';
import { encode, makeEvent, type Event } from '../../../backbone/events/envelope.js';
import { readCondition, type RuleConditionInput } from '../../../backbone/rules/condition-input.js';
import type { RuleDefinition } from '../../../backbone/rules/definition.js';
import type { Value } from '../../../backbone/rules/expression.js';
import { createPool } from '../../../platform/database/pool.js';
import { createOrchestratorRole } from '../../../workers/orchestrator/orchestrator.js';
import { expect } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';

export interface Fact {
  readonly kind: 'fired' | 'recovered';
  readonly ruleId: string;
  readonly deviceId: string;
  readonly at: number;
  readonly cause: string | undefined;
  readonly sequence: number;
}

export interface OrchestratorWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly bus: EventBus;
  /** Starts an instance with connections and a bus of its own. */
  start(): Promise<{ readonly metrics: Registry; stop(): Promise<void> }>;
  register(device?: { tenant?: string; typeId?: string; labels?: Readonly<Record<string, string>> }): Promise<string>;
  relabel(deviceId: string, labels: Readonly<Record<string, string>>): Promise<void>;
  decommission(deviceId: string): Promise<void>;
  /** Writes a rule. @returns it. */
  rule(
    condition: RuleConditionInput,
    more?: Partial<Omit<RuleDefinition, 'condition'>> & { tenant?: string },
  ): Promise<RuleDefinition>;
  deleteRule(rule: RuleDefinition): Promise<void>;
  /** Publishes readings as the bridge does. `at` in epoch milliseconds. @returns the record. */
  hear(deviceId: string, values: Readonly<Record<string, Value>>, at?: number, tenant?: string): Promise<Event>;
  again(event: Event): Promise<void>;
  presence(deviceId: string, online: boolean, session: number): Promise<void>;
  reset(session: number): Promise<void>;
  /** What rules have said of the device, in order. */
  facts(deviceId: string): Promise<readonly Fact[]>;
  /** The kinds of it: `+` fired, `-` recovered. */
  story(deviceId: string): Promise<string>;
}

export async function createOrchestratorWorld(): Promise<OrchestratorWorld> {
  const database = await createDatabase();
  const openBus = (pool = database.pool) =>
    createPostgresBus({ pool, databaseUrl: database.url, log: silentLog, metrics: new Registry() });
  const bus = openBus();
  await bus.ensureTopics(topicOptions({ partitions: 3, retentionMs: 3_600_000 }));
  const stops = new Set<() => Promise<void>>();
  const running = new Set<Registry>();
  const publish = async (topic: string, event: Event): Promise<Event> => {
    await bus.publish(topic, [encode(event)]);
    return event;
  };
  const about = (subject: string, tenant = 'acme') => ({ source: '/test', subject, tenant });

  /** Until every instance has read the rule. */
  const known = ({ ruleId, version }: RuleDefinition): Promise<void> =>
    eventually(async () => {
      const { rows } = await database.pool.query<{ change: bigint }>(
        'SELECT change FROM orchestrator.rules WHERE id = $1 AND version = $2',
        [ruleId, version],
      );
      expect(rows).toHaveLength(1);
      for (const metrics of running) {
        const read = await metrics.getSingleMetric('fleetgraph_orchestrator_rule_change')?.get();
        expect(read?.values[0]?.value).toBeGreaterThanOrEqual(Number(rows[0]?.change));
      }
    });

  const world: OrchestratorWorld = {
    database,
    bus,
    async start() {
      const pool = createPool({ url: database.url, size: 6, applicationName: 'orchestrator', log: silentLog });
      const ownBus = openBus(pool);
      const metrics = new Registry();
      const role = createOrchestratorRole({ log: silentLog, metrics, pool, bus: ownBus });
      const stop = async (): Promise<void> => {
        if (!stops.delete(stop)) return;
        running.delete(metrics);
        await role.stop();
        await ownBus.close();
        await pool.end();
      };
      stops.add(stop);
      await role.start();
      running.add(metrics);
      return { metrics, stop };
    },
    async register({ tenant, typeId = 'boiler', labels = {} } = {}) {
      const deviceId = randomUUID();
      await publish(
        topics.events,
        makeEvent({
          ...about(deviceId, tenant),
          type: 'io.fleetgraph.device.registered.v1',
          data: { deviceId, name: deviceId, typeId, labels: { ...labels } },
        }),
      );
      return deviceId;
    },
    async relabel(deviceId, labels) {
      const data = { deviceId, name: deviceId, typeId: 'boiler', labels: { ...labels } };
      await publish(topics.events, makeEvent({ ...about(deviceId), type: 'io.fleetgraph.device.updated.v1', data }));
    },
    async decommission(deviceId) {
      const data = { deviceId };
      await publish(
        topics.events,
        makeEvent({ ...about(deviceId), type: 'io.fleetgraph.device.decommissioned.v1', data }),
      );
    },
    async rule(condition, { tenant, ...more } = {}) {
      const definition: RuleDefinition = {
        ruleId: randomUUID(),
        version: 1,
        name: 'Rule',
        enabled: true,
        severity: 'WARNING',
        selector: {},
        actions: [],
        ...more,
        condition: readCondition(condition, 'condition'),
      };
      const type = definition.version === 1 ? 'io.fleetgraph.rule.created.v1' : 'io.fleetgraph.rule.updated.v1';
      await publish(topics.events, makeEvent({ ...about(definition.ruleId, tenant), type, data: definition }));
      if (running.size > 0) await known(definition);
      return definition;
    },
    async deleteRule({ ruleId, version }) {
      const data = { ruleId, version: version + 1 };
      await publish(topics.events, makeEvent({ ...about(ruleId), type: 'io.fleetgraph.rule.deleted.v1', data }));
    },
    hear: (deviceId, values, at = Date.now(), tenant) =>
      publish(
        topics.telemetry,
        makeEvent({
          ...about(deviceId, tenant),
          type: 'io.fleetgraph.telemetry.received.v1',
          data: { deviceId, readings: Object.entries(values).map(([metric, value]) => ({ metric, at, value })) },
        }),
      ),
    async again(event) {
      await publish(topics.telemetry, event);
    },
    async presence(deviceId, online, session) {
      const data = {
        deviceId,
        online,
        session,
        at: Date.now(),
        reason: online ? 'connected' : 'disconnected',
      } as const;
      await publish(topics.signals, makeEvent({ ...about(deviceId), type: 'io.fleetgraph.presence.changed.v1', data }));
    },
    async reset(session) {
      const data = { session, at: Date.now() };
      await publish(topics.signals, makeEvent({ ...about('broker'), type: 'io.fleetgraph.presence.reset.v1', data }));
    },
    async facts(deviceId) {
      const { rows } = await database.pool.query<{ type: string; data: Record<string, string | number> }>(
        'SELECT type, data FROM events.events WHERE stream = $1 ORDER BY revision',
        [`device-rules-${deviceId}`],
      );
      return rows.map(({ type, data }) => ({
        kind: type.includes('.fired.') ? 'fired' : 'recovered',
        ruleId: String(data['ruleId']),
        deviceId: String(data['deviceId']),
        sequence: Number(data['sequence']),
        at: Date.parse(String(data['at'])),
        cause: data['cause'] === undefined ? undefined : String(data['cause']),
      }));
    },
    story: async (deviceId) => (await world.facts(deviceId)).map(({ kind }) => (kind === 'fired' ? '+' : '-')).join(''),
    async [Symbol.asyncDispose]() {
      for (const stop of [...stops]) await stop();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
  return world;
}
