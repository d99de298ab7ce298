/**
 * Makes the commands of jobs, a batch in a transaction, in the order of the ids of devices; a canceled job's it cancels.
 * Invariant: the cursor of a job moves in the transaction that makes the commands up to it, and no device has two of one job
 * (a unique index). So a worker may be killed anywhere, and any number of instances may run it: who holds a job's lock works.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { CommandEventType } from '../command/command-fact.js';
import { makeEvent, type Event } from '../../../backbone/events/envelope.js';
import { append } from '../../../backbone/store/event-store.js';
import { tryLockStream } from '../../../backbone/store/stream-lock.js';
import { inTransaction, sqlOf, type Sql } from '../../../platform/database/sql.js';
import { startRounds, type Rounds } from '../../../platform/lifecycle/rounds.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { FindCommandFault } from '../command/accept-command.js';
import { appendEventsOfAll, eventOf, type Cause } from '../command/append-facts.js';
import type { Command } from '../command/command.js';
import type { CommandMetrics } from '../command/command-metrics.js';
import { insertCommands, lockCommands, saveCommands } from '../command/command-rows.js';
import { decide, evolve } from '../command/life-cycle.js';
import { findTargetTypes } from '../target/target-rows.js';
import {
  countByStatus,
  countOpen,
  findDueJobs,
  findJob,
  findOpen,
  jobStreamOf,
  nextDevices,
  nextJobTime,
  saveJob,
  type Job,
} from './job-rows.js';

/** Devices in a transaction. */
const batchSize = 500;
/** How soon a job that must wait (for its limits, for its commands to end) is looked at again. */
const waitMs = 250;
const longestSleepMs = 1_000;

export interface JobWorkerOptions {
  readonly pool: pg.Pool;
  readonly findFault: FindCommandFault;
  readonly metrics: CommandMetrics;
  readonly log: Logger;
  readonly wakeRelay: () => void;
}

interface Change {
  readonly command: Command;
  readonly events: readonly Event<CommandEventType>[];
}

/** Starts the worker. It is woken when there may be something to do. */
export function startJobWorker(options: JobWorkerOptions): Rounds {
  const { pool, log } = options;
  return startRounds({
    log,
    failing: "Jobs can't be worked on",
    async round(stopped) {
      const due = await findDueJobs(sqlOf(pool), new Date(), 10);
      let worked = 0;
      for (const job of due) {
        if (stopped.aborted) return 0;
        if (await advanceJob(options, job)) worked += 1;
      }
      if (worked > 0) return 0;
      const next = due.length > 0 ? Date.now() + waitMs : (await nextJobTime(sqlOf(pool)))?.getTime();
      return Math.min(longestSleepMs, Math.max(20, (next ?? Infinity) - Date.now()));
    },
  });
}

/** One step of a job, in one transaction. @returns whether it was this worker's to take. */
export async function advanceJob(options: JobWorkerOptions, key: Pick<Job, 'id' | 'tenant'>): Promise<boolean> {
  const changes = await inTransaction(options.pool, async (sql): Promise<readonly Change[] | undefined> => {
    if (!(await tryLockStream(sql, key.tenant, jobStreamOf(key.id)))) return undefined;
    const job = await findJob(sql, key.tenant, key.id);
    if (job === undefined || job.settled) return [];
    if (job.status === 'CANCELED') return cancelBatch(sql, job);
    return job.exhausted ? complete(sql, job) : makeBatch(sql, job, options.findFault);
  });
  if (changes === undefined) return false;
  for (const { command, events } of changes) options.metrics.moved(command, events);
  options.wakeRelay();
  return true;
}

async function makeBatch(sql: Sql, job: Job, findFault: FindCommandFault): Promise<readonly Change[]> {
  const nowMs = Date.now();
  const room = await roomOf(sql, job, nowMs);
  if (room <= 0) return later(sql, job, nowMs);
  const devices = await nextDevices(sql, job, room);
  const types = await findTargetTypes(sql, job.tenant, [...new Set(devices.map(({ typeId }) => typeId))]);
  // A type that was defined anew since the job was accepted may not take it any more.
  const taken = devices.filter(
    ({ typeId }) => findFault({ typeId, commands: types.get(typeId) ?? [] }, job.order) === undefined,
  );
  const changes = taken.map(({ deviceId }) => commandOf(job, deviceId, nowMs));
  await insertCommands(
    sql,
    changes.map(({ command }) => command),
  );
  await appendEventsOfAll(sql, changes);
  await saveJob(sql, {
    ...job,
    made: job.made + taken.length,
    refused: job.refused + devices.length - taken.length,
    cursor: devices.at(-1)?.deviceId ?? job.cursor,
    exhausted: devices.length < room,
    updatedAt: new Date(nowMs),
    nextAt: new Date(nowMs),
  });
  return changes;
}

/** How many commands may be made now, at most a batch. */
async function roomOf(sql: Sql, { id, order, made, refused, createdAt }: Job, nowMs: number): Promise<number> {
  const { maxOpen, perSecond } = order;
  const bySpeed =
    perSecond === undefined
      ? batchSize
      : Math.ceil(((nowMs - createdAt.getTime() + 1) / 1_000) * perSecond) - made - refused;
  const byOpen = maxOpen === undefined ? batchSize : maxOpen - (await countOpen(sql, id, maxOpen));
  return Math.min(batchSize, bySpeed, byOpen);
}

function commandOf(job: Job, deviceId: string, atMs: number): Change {
  const { name, parameters, timeToLiveMs, retry } = job.order;
  const facts = decide(undefined, {
    kind: 'request',
    atMs,
    tenant: job.tenant,
    commandId: randomUUID(),
    deviceId,
    name,
    parameters,
    timeToLiveMs,
    retry,
    jobId: job.id,
  });
  const command = facts.reduce<Command | undefined>(evolve, undefined);
  if (command === undefined) throw new Error('A request of a command decided nothing.');
  return { command, events: facts.map((fact) => eventOf(fact, causeOf(job))) };
}

function causeOf({ actor, traceparent, correlationId }: Job): Cause {
  return {
    actor: actor ?? undefined,
    traceparent: traceparent ?? undefined,
    correlationid: correlationId ?? undefined,
  };
}

async function later(sql: Sql, job: Job, nowMs: number): Promise<readonly Change[]> {
  await saveJob(sql, { ...job, nextAt: new Date(nowMs + waitMs) });
  return [];
}

async function complete(sql: Sql, job: Job): Promise<readonly Change[]> {
  const now = new Date();
  if ((await countOpen(sql, job.id, 1)) > 0) return later(sql, job, now.getTime());
  const commands = (await countByStatus(sql, [job.id])).get(job.id) ?? {};
  await saveJob(sql, {
    ...job,
    status: 'COMPLETED',
    settled: true,
    revision: job.revision + 1,
    updatedAt: now,
    completedAt: now,
  });
  const event = makeEvent({
    source: '/actions',
    type: 'io.fleetgraph.command-job.completed.v1' as const,
    subject: job.id,
    tenant: job.tenant,
    data: { jobId: job.id, refused: job.refused, commands: { ...commands } },
    correlationid: job.correlationId ?? undefined,
    traceparent: job.traceparent ?? undefined,
  });
  await append(sql, {
    tenant: job.tenant,
    stream: jobStreamOf(job.id),
    expectedRevision: job.revision,
    events: [event],
  });
  return [];
}

/** Cancels some of the commands that are open. When there are none, the job is settled. */
async function cancelBatch(sql: Sql, job: Job): Promise<readonly Change[]> {
  const now = new Date();
  const commands = await lockCommands(sql, await findOpen(sql, job.id, batchSize));
  if (commands.length === 0) {
    await saveJob(sql, { ...job, settled: true, completedAt: now, updatedAt: now });
    return [];
  }
  const changes = commands.map((command): Change => {
    const facts = decide(command, { kind: 'cancel', atMs: now.getTime() });
    return { command: facts.reduce(evolve, command), events: facts.map((fact) => eventOf(fact, causeOf(job))) };
  });
  await saveCommands(
    sql,
    changes.map(({ command }) => command),
  );
  await appendEventsOfAll(sql, changes);
  await saveJob(sql, { ...job, nextAt: now });
  return changes;
}
