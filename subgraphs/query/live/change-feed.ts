/**
 * The live end of the change log, one per process: every change of a tenant that somebody watches, once, in order.
 * It tails `fleetgraph.changes`, puts the changes in order, and reads from the log what does not come: when a gap stays
 * open for `gapWaitMs`, and when a poll of the clocks every `pollMs` shows that the last ones were never published.
 * Invariant: once `watch` has resolved, its listener is given every change that commits later.
 */
import { typeOf } from '../../../backbone/events/envelope.js';
import type { BusRecord, EventBus, Subscription } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { decodeChange, type Change } from '../../../backbone/changes/change.js';
import type { Sql } from '../../../platform/database/sql.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import type { QueryMetrics } from '../query-metrics.js';
import { readChanges, readClocks } from './change-log.js';
import { createTenantSequence, type TenantSequence } from './tenant-sequence.js';

export interface ChangeListener {
  /** Called for each change, in order. Must not block. */
  change(change: Change): void;
  /** The log no longer has changes that were to come: whatever is built on them must begin anew. */
  lost(): void;
}

export interface Watch {
  /** No more calls after this. */
  stop(): void;
}

export interface ChangeFeed {
  start(): Promise<void>;
  /** Gives the listener every later change of the tenant; only those of the entity with this id, if one is given. */
  watch(tenant: string, id: string | undefined, listener: ChangeListener): Promise<Watch>;
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export interface ChangeFeedOptions {
  readonly sql: Sql;
  readonly bus: EventBus;
  readonly log: Logger;
  readonly metrics: QueryMetrics;
  /** How often the clocks are compared. Default 1,000 ms. */
  readonly pollMs?: number;
  /** How long a gap may stay open before it is read from the log. Default 50 ms. */
  readonly gapWaitMs?: number;
}

interface WatchedTenant {
  readonly everything: Set<ChangeListener>;
  readonly byId: Map<string, Set<ChangeListener>>;
  /** Resolves when the sequence has its position. */
  readonly begun: Promise<TenantSequence>;
  sequence: TenantSequence | undefined;
  /** Changes that came while the position was not known. */
  readonly early: Change[];
  filling: boolean;
}

/** Most changes kept for a tenant while its position is being read. */
const maxEarly = 10_000;

/** Most changes read from the log at once. */
const pageSize = 1_000;

export function createChangeFeed(options: ChangeFeedOptions): ChangeFeed {
  const { sql, bus, log, metrics, pollMs = 1_000, gapWaitMs = 50 } = options;
  const tenants = new Map<string, WatchedTenant>();
  const stopping = new AbortController();
  const background = new Set<Promise<void>>();
  let tail: Subscription | undefined;
  const outages = createOutageLog({ log, event: 'the change log can not be read' });

  const keep = (work: Promise<void>): void => {
    background.add(work);
    void work.finally(() => background.delete(work));
  };

  function deliver(tenant: WatchedTenant, changes: readonly Change[]): void {
    for (const change of changes) {
      for (const listener of tenant.everything) listener.change(change);
      for (const listener of tenant.byId.get(change.id) ?? []) listener.change(change);
    }
  }

  function take(records: readonly BusRecord[]): void {
    for (const record of records) {
      const name = record.headers['ce_tenant'] ?? '';
      const tenant = tenants.get(name);
      if (tenant === undefined || typeOf(record) !== 'io.fleetgraph.projection.changed.v1') continue;
      let change: Change;
      try {
        change = decodeChange(record);
      } catch (error) {
        // The poll finds the gap that this leaves, and the log has what belongs there.
        log.warn({ err: error, partition: record.partition, offset: record.offset.toString() }, 'undecodable change');
        continue;
      }
      if (tenant.sequence === undefined) {
        // What doesn't fit is in the log, and the poll shows that it is missing.
        if (tenant.early.length < maxEarly) tenant.early.push(change);
      } else {
        deliver(tenant, tenant.sequence.offer(change));
        fillGap(name, tenant);
      }
    }
  }

  /** Closes a gap from the log, unless the bus closes it first. One at a time for each tenant. */
  function fillGap(name: string, tenant: WatchedTenant): void {
    if (tenant.filling || tenant.sequence?.hasGap() !== true) return;
    tenant.filling = true;
    keep(
      (async () => {
        try {
          await pause(gapWaitMs, stopping.signal);
          await readMissing(name, tenant);
          outages.succeeded('gaps');
        } catch (error) {
          // The next poll finds the gap still open and tries again.
          outages.failed('gaps', error, { what: 'a gap in the changes', tenant: name });
        } finally {
          tenant.filling = false;
        }
      })(),
    );
  }

  async function readMissing(name: string, tenant: WatchedTenant): Promise<void> {
    const { sequence } = tenant;
    while (sequence?.hasGap() === true && tenants.get(name) === tenant && !stopping.signal.aborted) {
      const before = sequence.position();
      const page = await readChanges(sql, { tenant: name, behind: before, limit: pageSize });
      const [first] = page.changes;
      const next = first?.seq ?? page.clock + 1n;
      if (next > sequence.position() + 1n) {
        log.error(
          { tenant: name, from: sequence.position().toString(), to: next.toString() },
          'changes are gone from the log before they were delivered; their subscriptions begin anew',
        );
        tellLost(tenant);
        deliver(tenant, sequence.skipTo(next - 1n));
      }
      metrics.changesFromLog.inc(page.changes.length);
      for (const change of page.changes) deliver(tenant, sequence.offer(change));
      // Nothing came although something is expected: a clock that went back. Leave it to the next poll.
      if (sequence.position() === before) return;
    }
  }

  function tellLost(tenant: WatchedTenant): void {
    for (const listener of tenant.everything) listener.lost();
    for (const listeners of tenant.byId.values()) for (const listener of listeners) listener.lost();
  }

  async function poll(): Promise<void> {
    for (;;) {
      await pause(pollMs, stopping.signal);
      if (stopping.signal.aborted) return;
      const watched = [...tenants.keys()];
      if (watched.length === 0) continue;
      try {
        for (const [name, seq] of await readClocks(sql, watched)) {
          const tenant = tenants.get(name);
          if (tenant?.sequence === undefined) continue;
          tenant.sequence.expect(seq);
          fillGap(name, tenant);
        }
        outages.succeeded('clocks');
      } catch (error) {
        outages.failed('clocks', error, { what: 'its clocks' });
      }
    }
  }

  function begin(name: string): WatchedTenant {
    const early: Change[] = [];
    const tenant: WatchedTenant = {
      everything: new Set(),
      byId: new Map(),
      early,
      sequence: undefined,
      filling: false,
      begun: readClocks(sql, [name]).then((clocks) => {
        const sequence = createTenantSequence(clocks.get(name) ?? 0n);
        tenant.sequence = sequence;
        for (const change of early.splice(0)) deliver(tenant, sequence.offer(change));
        fillGap(name, tenant);
        return sequence;
      }),
    };
    tenants.set(name, tenant);
    return tenant;
  }

  function leave(name: string, tenant: WatchedTenant, id: string | undefined, listener: ChangeListener): void {
    if (id === undefined) tenant.everything.delete(listener);
    else {
      const listeners = tenant.byId.get(id);
      listeners?.delete(listener);
      if (listeners?.size === 0) tenant.byId.delete(id);
    }
    if (tenant.everything.size === 0 && tenant.byId.size === 0 && tenants.get(name) === tenant) tenants.delete(name);
  }

  return {
    async start() {
      tail = await bus.tail([topics.changes], take);
      keep(poll());
    },
    async watch(name, id, listener) {
      const tenant = tenants.get(name) ?? begin(name);
      if (id === undefined) tenant.everything.add(listener);
      else tenant.byId.set(id, (tenant.byId.get(id) ?? new Set()).add(listener));
      try {
        await tenant.begun;
      } catch (error) {
        // All who wait for it fail alike; the next watch begins again.
        if (tenants.get(name) === tenant) tenants.delete(name);
        throw error;
      }
      return { stop: () => leave(name, tenant, id, listener) };
    },
    async ready() {
      await tail?.ready();
    },
    async stop() {
      stopping.abort();
      await tail?.stop();
      for (const tenant of tenants.values()) tellLost(tenant);
      tenants.clear();
      await Promise.all(background);
    },
  };
}
