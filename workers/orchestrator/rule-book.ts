/**
 * All rules, compiled, in memory: a copy of `orchestrator.rules` that each instance keeps for itself. Changes are numbered in the
 * order in which they commit (the lock of `orchestrator.rule_clock` sees to that), so a copy that has read up to a number lacks
 * nothing before it. Whoever asks rules in a transaction refreshes it there first; between, it is refreshed several times a second.
 */
import { selectorMatcher, type SelectableDevice } from '../../backbone/devices/label-selector.js';
import { compileRule, type CompiledRule } from '../../backbone/rules/compile.js';
import type { RuleDefinition } from '../../backbone/rules/definition.js';
import { deviceRules, type DeviceRules } from '../../backbone/rules/watch-device.js';
import type { Sql } from '../../platform/database/sql.js';
import { messageOf } from '../../platform/errors.js';
import { pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import { createOutageLog } from '../../platform/observability/outage-log.js';
import type { OrchestratorMetrics } from './orchestrator-metrics.js';

export interface RuleBook {
  /** Number of the last change that it has. */
  change(): bigint;
  /** Reads what has changed. @returns the number of the last change. */
  refresh(sql: Sql): Promise<bigint>;
  /** Whether a reading of the metric can be worth anything to a rule of the tenant. */
  wants(tenant: string, metric: string): boolean;
  /** The rules about the device. */
  rulesOf(tenant: string, device: SelectableDevice): DeviceRules;
  /** Reads all rules, then keeps up until `stop`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Rejects with the last error while it can't keep up. */
  ready(): Promise<void>;
}

interface Entry {
  readonly rule: CompiledRule;
  readonly matches: (device: SelectableDevice) => boolean;
}

/** The rules of a tenant, with what follows from them, made when it is asked for. */
interface Chapter {
  readonly entries: Map<string, Entry>;
  /** undefined: every metric. */
  metrics: ReadonlySet<string> | undefined | 'unknown';
  byDevice: Map<string, DeviceRules>;
  usesIds: boolean;
}

const pollMs = 200;
/** Kinds of devices, as rules tell them apart, that are remembered for a tenant. */
const maxRemembered = 20_000;
const none = deviceRules([]);

export function createRuleBook(options: { sql: Sql; log: Logger; metrics: OrchestratorMetrics }): RuleBook {
  const { log, metrics } = options;
  const chapters = new Map<string, Chapter>();
  let change = 0n;
  let failure: Error | undefined;
  const outages = createOutageLog({ log, event: 'rules can not be read' });
  const stopped = new AbortController();
  let polling: Promise<void> | undefined;

  const apply = (row: { id: string; tenant: string; definition: RuleDefinition | null }): void => {
    const chapter = chapters.get(row.tenant) ?? emptyChapter();
    chapters.set(row.tenant, chapter);
    chapter.entries.delete(row.id);
    if (row.definition?.enabled === true) {
      try {
        const rule = compileRule(row.definition);
        chapter.entries.set(row.id, { rule, matches: selectorMatcher(selectorOf(row.definition)) });
      } catch (error) {
        // It was checked when it was written: by a version that knew more. The others must go on.
        metrics.faults.inc();
        log.error({ tenant: row.tenant, ruleId: row.id, reason: messageOf(error) }, 'a rule can not be compiled');
      }
    }
    chapter.metrics = 'unknown';
    chapter.byDevice = new Map();
    chapter.usesIds = [...chapter.entries.values()].some(({ rule }) => rule.definition.selector.ids !== undefined);
    if (chapter.entries.size === 0) chapters.delete(row.tenant);
  };

  const refresh = async (sql: Sql): Promise<bigint> => {
    const [clock] = await sql.query<{ change: bigint }>('SELECT change FROM orchestrator.rule_clock WHERE id = 1');
    if (clock !== undefined && clock.change > change) {
      const rows = await sql.query<{ id: string; tenant: string; definition: RuleDefinition | null; change: bigint }>(
        'SELECT id, tenant, definition, change FROM orchestrator.rules WHERE change > $1::bigint ORDER BY change',
        [change.toString()],
      );
      // Another transaction may have read further meanwhile: what it has is not undone.
      for (const row of rows) {
        if (row.change <= change) continue;
        apply(row);
        change = row.change;
      }
      if (clock.change > change) change = clock.change;
      metrics.change.set(Number(change));
      metrics.rules.set([...chapters.values()].reduce((sum, { entries }) => sum + entries.size, 0));
    }
    return change;
  };

  const poll = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await pause(pollMs, stopped.signal);
      try {
        if (!stopped.signal.aborted) await refresh(options.sql);
        failure = undefined;
        outages.succeeded('rules');
      } catch (error) {
        outages.failed('rules', error);
        failure = new Error(`Rules can't be read: ${messageOf(error)}`, { cause: error });
      }
    }
  };

  return {
    change: () => change,
    refresh,
    wants(tenant, metric) {
      const chapter = chapters.get(tenant);
      if (chapter === undefined) return false;
      if (chapter.metrics === 'unknown') chapter.metrics = metricsOf(chapter);
      return chapter.metrics === undefined || chapter.metrics.has(metric);
    },
    rulesOf(tenant, device) {
      const chapter = chapters.get(tenant);
      if (chapter === undefined) return none;
      const { byDevice, usesIds, entries } = chapter;
      const kind = JSON.stringify([device.typeId, device.labels, usesIds ? device.id : '']);
      let rules = byDevice.get(kind);
      if (rules === undefined) {
        rules = deviceRules([...entries.values()].filter(({ matches }) => matches(device)).map(({ rule }) => rule));
        if (byDevice.size >= maxRemembered) byDevice.clear();
        byDevice.set(kind, rules);
      }
      return rules;
    },
    async start() {
      await refresh(options.sql);
      polling = poll();
    },
    async stop() {
      stopped.abort();
      await polling;
    },
    async ready() {
      if (failure) throw failure;
    },
  };
}

function emptyChapter(): Chapter {
  return { entries: new Map(), metrics: 'unknown', byDevice: new Map(), usesIds: false };
}

function metricsOf({ entries }: Chapter): ReadonlySet<string> | undefined {
  const rules = [...entries.values()].map(({ rule }) => rule);
  return rules.some(({ hearsAll }) => hearsAll) ? undefined : new Set(rules.flatMap(({ metrics }) => [...metrics]));
}

/** The definition's selector under the type of the module that reads it: the same JSON. */
function selectorOf({ selector }: RuleDefinition): Parameters<typeof selectorMatcher>[0] {
  return selector as Parameters<typeof selectorMatcher>[0];
}
