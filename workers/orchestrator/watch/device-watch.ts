/**
 * Devices being watched, one transaction a batch: locks their rows, reads the rules and the registry as they are then, lets the
 * devices hear what there is to hear, and writes what is remembered together with what the rules say.
 * Invariant: what a rule says of a device is decided on its row while that is locked, and on rules that nobody changes until the
 * commit: before something is said, the clock of rules is locked and must show what the rules were read at.
 */
import type pg from 'pg';
import { makeEvent, type Event } from '../../../backbone/events/envelope.js';
import type { EventData } from '../../../backbone/events/catalogue.js';
import {
  watchDevice,
  type DeviceRules,
  type Transition,
  type WatchedDevice,
} from '../../../backbone/rules/watch-device.js';
import { appendAll } from '../../../backbone/store/event-store.js';
import { inTransaction, sqlOf, type Sql } from '../../../platform/database/sql.js';
import { messageOf } from '../../../platform/errors.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { OrchestratorMetrics } from '../orchestrator-metrics.js';
import type { RuleBook } from '../rule-book.js';
import {
  findDevices,
  lockDueWatches,
  lockWatches,
  nextDueTime,
  saveWatches,
  type Watch,
  type WatchKey,
} from './watch-rows.js';

/** What a device is to hear, in order. */
export interface Told extends WatchKey {
  readonly tell: (watching: ReturnType<typeof watchDevice>) => void;
  readonly traceparent?: string | undefined;
}

export type EndCause = Exclude<EventData<'io.fleetgraph.rule.recovered.v1'>['cause'], 'CONDITION'>;

export interface DeviceWatch {
  /** Lets devices hear something. */
  tell(told: readonly Told[]): Promise<void>;
  /** Lets time pass for up to `limit` devices that are due. @returns how many there were. */
  pass(nowMs: number, limit: number): Promise<number>;
  /** Ends what rules say of devices that they are no longer about, and looks at the devices anew as time passes. */
  settle(keys: readonly WatchKey[], cause: EndCause): Promise<void>;
  nextDueTime(): Promise<Date | undefined>;
  readonly sql: Sql;
  readonly pool: pg.Pool;
}

type RuleEvent = Event<'io.fleetgraph.rule.fired.v1' | 'io.fleetgraph.rule.recovered.v1'>;

/** The rules were changed between reading them and saying something: the batch begins again. */
class RulesChanged extends Error {}

export function createDeviceWatch(options: {
  pool: pg.Pool;
  log: Logger;
  metrics: OrchestratorMetrics;
  book: RuleBook;
  wakeRelay: () => void;
}): DeviceWatch {
  const { pool, log, metrics, book, wakeRelay } = options;

  /** Steps each of the rows that `lock` gives. */
  const transact = async (
    lock: (sql: Sql) => Promise<readonly Watch[]>,
    step: (watch: Watch, rules: DeviceRules, onFault: OnFault) => Stepped,
  ): Promise<number> => {
    for (;;) {
      try {
        const { rows, events } = await inTransaction(pool, async (sql) => {
          const locked = await lock(sql);
          if (locked.length === 0) return { rows: 0, events: [] };
          await book.refresh(sql);
          const devices = await findDevices(
            sql,
            locked.map(({ deviceId }) => deviceId),
          );
          const change = book.change();
          const stepped = locked.map((watch) => {
            const device = devices.get(watch.deviceId);
            const isOurs = device?.tenant === watch.tenant && device.active;
            return step(watch, isOurs ? book.rulesOf(watch.tenant, device) : noRules, faultOf(watch));
          });
          const said = stepped.filter(({ events: of }) => of.length > 0);
          if (said.length > 0) await confirmRules(sql, change);
          await saveWatches(
            sql,
            stepped.map(({ watch, events: of }) => ({ ...watch, revision: watch.revision + of.length })),
          );
          if (said.length > 0)
            await appendAll(
              sql,
              said.map(({ watch, events: of }) => ({
                tenant: watch.tenant,
                stream: streamOf(watch.deviceId),
                expectedRevision: watch.revision,
                events: of,
              })),
            );
          return { rows: locked.length, events: said.flatMap(({ events: of }) => of) };
        });
        for (const { type } of events) metrics.transitions.inc({ kind: type.split('.')[3] ?? type });
        if (events.length > 0) wakeRelay();
        return rows;
      } catch (error) {
        if (!(error instanceof RulesChanged)) throw error;
      }
    }
  };

  type OnFault = Parameters<typeof watchDevice>[2];
  interface Stepped {
    readonly watch: Watch;
    readonly events: readonly RuleEvent[];
  }

  const faultOf =
    ({ deviceId, tenant }: WatchKey): OnFault =>
    ({ definition: { ruleId } }, error) => {
      metrics.faults.inc();
      log.warn({ tenant, deviceId, ruleId, reason: messageOf(error) }, 'a rule could not be asked');
    };

  return {
    pool,
    sql: sqlOf(pool),
    nextDueTime: () => nextDueTime(sqlOf(pool)),
    async tell(told) {
      const byDevice = new Map<string, Told[]>();
      for (const one of told) {
        const name = nameOf(one);
        const known = byDevice.get(name);
        if (known === undefined) byDevice.set(name, [one]);
        else known.push(one);
      }
      await transact(
        async (sql) => {
          const devices = await findDevices(
            sql,
            told.map(({ deviceId }) => deviceId),
          );
          // The id of a device is one tenant's alone; what is said under the name of another makes no row, and is not heard.
          return lockWatches(
            sql,
            told.filter(({ deviceId, tenant }) => (devices.get(deviceId)?.tenant ?? tenant) === tenant),
          );
        },
        (watch, rules, onFault) => {
          const watching = watchDevice(watch.device, rules, onFault);
          const words = byDevice.get(nameOf(watch)) ?? [];
          for (const { tell } of words) tell(watching);
          return steppedOf(watch, watching.result(), words.at(-1)?.traceparent);
        },
      );
    },
    pass: (nowMs, limit) =>
      transact(
        (sql) => lockDueWatches(sql, new Date(nowMs), limit),
        (watch, rules, onFault) => {
          const watching = watchDevice(watch.device, rules, onFault);
          watching.pass(nowMs);
          return steppedOf(watch, watching.result(), undefined);
        },
      ),
    async settle(keys, cause) {
      await transact(
        (sql) => lockWatches(sql, keys),
        (watch, rules) => {
          const about = new Set(rules.all.map(({ definition }) => definition.ruleId));
          const kept: Record<string, WatchedDevice['rules'][string]> = {};
          const events: RuleEvent[] = [];
          for (const [ruleId, state] of Object.entries(watch.device.rules)) {
            if (about.has(ruleId)) kept[ruleId] = state;
            else if (state.r === true) events.push(recovered(watch, ruleId, cause, watch.revision + events.length + 1));
          }
          const dueAt = rules.waiting.length === 0 ? undefined : Date.now();
          return { watch: { ...watch, device: { ...watch.device, rules: kept, dueAt } }, events };
        },
      );
    },
  };
}

const noRules: DeviceRules = { all: [], byMetric: new Map(), hearingAll: [], hearingPresence: [], waiting: [] };

/** Locks the clock of rules against changes until the commit. @throws RulesChanged if it shows another number. */
async function confirmRules(sql: Sql, change: bigint): Promise<void> {
  const [clock] = await sql.query<{ change: bigint }>(
    'SELECT change FROM orchestrator.rule_clock WHERE id = 1 FOR SHARE',
  );
  if (clock?.change !== change) throw new RulesChanged();
}

function steppedOf(
  watch: Watch,
  { device, transitions }: { device: WatchedDevice; transitions: readonly Transition[] },
  traceparent: string | undefined,
): { watch: Watch; events: readonly RuleEvent[] } {
  const events = transitions.map(({ kind, rule, at, readings }, index): RuleEvent => {
    const { ruleId, version, name: ruleName, severity, actions } = rule.definition;
    const { tenant, deviceId } = watch;
    const said = {
      ruleId,
      deviceId,
      at: new Date(at).toISOString(),
      readings: [...readings],
      sequence: watch.revision + index + 1,
    };
    const about = { source: '/orchestrator', subject: deviceId, tenant, traceparent };
    return kind === 'fired'
      ? makeEvent({
          ...about,
          type: 'io.fleetgraph.rule.fired.v1',
          data: { ...said, version, ruleName, severity, actions },
        })
      : makeEvent({ ...about, type: 'io.fleetgraph.rule.recovered.v1', data: { ...said, cause: 'CONDITION' } });
  });
  return { watch: { ...watch, device }, events };
}

function recovered({ tenant, deviceId }: WatchKey, ruleId: string, cause: EndCause, sequence: number): RuleEvent {
  return makeEvent({
    source: '/orchestrator',
    subject: deviceId,
    tenant,
    type: 'io.fleetgraph.rule.recovered.v1',
    data: { ruleId, deviceId, at: new Date().toISOString(), readings: [], sequence, cause },
  });
}

/** A tenant has no `/` in it. */
function nameOf({ tenant, deviceId }: WatchKey): string {
  return `${tenant}/${deviceId}`;
}

/** The stream of what rules say of a device. */
function streamOf(deviceId: string): string {
  return `device-rules-${deviceId}`;
}
