/**
 * Readings for the rules. What no rule of the tenant looks at is left out at once, in memory.
 * A device may be heard before its registration has come here, on another topic: it is waited for, for a moment.
 */
import type { Event } from '../../backbone/events/envelope.js';
import type { Sql } from '../../platform/database/sql.js';
import { pause } from '../../platform/lifecycle/wait.js';
import type { OrchestratorMetrics } from './orchestrator-metrics.js';
import type { RuleBook } from './rule-book.js';
import type { DeviceWatch, Told } from './watch/device-watch.js';
import { findDevices } from './watch/watch-rows.js';

type Telemetry = Event<'io.fleetgraph.telemetry.received.v1'>;

const waitMs = 1_000;
const pollMs = 50;
/** How long a device that was waited for in vain is not waited for again. */
const forgetMs = 60_000;
const maxRemembered = 100_000;

export function hearTelemetry(options: {
  sql: Sql;
  book: RuleBook;
  watch: DeviceWatch;
  metrics: OrchestratorMetrics;
}): (events: readonly Telemetry[], signal: AbortSignal) => Promise<void> {
  const { sql, book, watch, metrics } = options;
  const known = new Set<string>();
  const inVain = new Map<string, number>();

  const awaitDevices = async (ids: readonly string[], signal: AbortSignal): Promise<void> => {
    const deadline = Date.now() + waitMs;
    let missing = ids.filter((id) => !known.has(id) && (inVain.get(id) ?? 0) < Date.now());
    while (missing.length > 0) {
      const found = await findDevices(sql, missing);
      if (known.size > maxRemembered) known.clear();
      for (const id of found.keys()) known.add(id);
      missing = missing.filter((id) => !found.has(id));
      if (missing.length === 0) return;
      if (Date.now() > deadline || signal.aborted) {
        if (inVain.size > maxRemembered) inVain.clear();
        for (const id of missing) inVain.set(id, Date.now() + forgetMs);
        return;
      }
      await pause(pollMs, signal);
    }
  };

  return async (events, signal) => {
    const endTimer = metrics.batchSeconds.startTimer();
    let asked = 0;
    let all = 0;
    const told = events.flatMap(({ tenant, traceparent, data: { deviceId, readings } }): Told[] => {
      all += readings.length;
      const wanted = readings.filter(({ metric }) => book.wants(tenant, metric));
      asked += wanted.length;
      return wanted.length === 0 ? [] : [{ tenant, deviceId, traceparent, tell: (watching) => watching.hear(wanted) }];
    });
    if (told.length > 0) {
      await awaitDevices([...new Set(told.map(({ deviceId }) => deviceId))], signal);
      await watch.tell(told);
    }
    metrics.readings.inc({ outcome: 'asked' }, asked);
    metrics.readings.inc({ outcome: 'skipped' }, all - asked);
    const newest = Math.max(...events.map(({ time }) => Date.parse(time)));
    if (Number.isFinite(newest)) metrics.delaySeconds.observe(Math.max(0, Date.now() - newest) / 1_000);
    endTimer();
  };
}
