/** The SQL of `actions.command_jobs`, and of the devices and commands of a job. */
import { selectorConditions, type DeviceSelector } from '../../../backbone/devices/label-selector.js';
import type { Sql } from '../../../platform/database/sql.js';
import { openStatuses, type CommandStatus } from '../command/command.js';
import type { CommandKey } from '../command/command-rows.js';
import { targetColumns } from '../target/target-rows.js';
import type { JobOrder } from './job-input.js';

export interface Job {
  readonly id: string;
  readonly tenant: string;
  readonly revision: number;
  readonly status: 'RUNNING' | 'COMPLETED' | 'CANCELED';
  readonly selector: DeviceSelector;
  readonly order: JobOrder;
  readonly devices: number;
  /** Commands that were made. */
  readonly made: number;
  /** Devices that got none, because of their type. */
  readonly refused: number;
  readonly cursor: string;
  readonly exhausted: boolean;
  readonly settled: boolean;
  readonly nextAt: Date;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly completedAt: Date | null;
  readonly actor: string | null;
  readonly traceparent: string | null;
  readonly correlationId: string | null;
}

const columns = `id, tenant, revision, status::text AS status, selector, "order", devices, made, refused, cursor, exhausted, settled,
  next_at AS "nextAt", created_at AS "createdAt", updated_at AS "updatedAt", completed_at AS "completedAt", actor, traceparent,
  correlation_id AS "correlationId"`;

/** The job's stream in the event store. */
export function jobStreamOf(jobId: string): string {
  return `command-job-${jobId}`;
}

export async function findJob(sql: Sql, tenant: string, id: string): Promise<Job | undefined> {
  const rows = await sql.query<Job>(
    `SELECT ${columns} FROM actions.command_jobs WHERE tenant = $1::text AND id = $2::text`,
    [tenant, id],
  );
  return rows[0];
}

/** The tenant's jobs, newest first. */
export async function listJobs(
  sql: Sql,
  tenant: string,
  after: { readonly createdAtMs: number; readonly id: string } | undefined,
  limit: number,
): Promise<readonly Job[]> {
  return sql.query<Job>(
    `SELECT ${columns} FROM actions.command_jobs
     WHERE tenant = $1::text ${after === undefined ? '' : 'AND (created_at, id) < ($3::timestamptz, $4::text)'}
     ORDER BY created_at DESC, id DESC LIMIT $2::int`,
    [tenant, limit, ...(after === undefined ? [] : [new Date(after.createdAtMs), after.id])],
  );
}

export async function insertJob(transaction: Sql, job: Job): Promise<void> {
  await transaction.query(
    `INSERT INTO actions.command_jobs (id, tenant, revision, status, selector, "order", devices, next_at, created_at, updated_at,
       actor, traceparent, correlation_id)
     SELECT id, tenant, revision, status::actions.command_job_status, selector, "order", devices, "nextAt", "createdAt", "updatedAt",
       actor, traceparent, "correlationId"
     FROM jsonb_to_record($1::jsonb) AS j(id text, tenant text, revision int, status text, selector jsonb, "order" jsonb, devices int,
       "nextAt" timestamptz, "createdAt" timestamptz, "updatedAt" timestamptz, actor text, traceparent text, "correlationId" text)`,
    [JSON.stringify(job)],
  );
}

/** Writes what may change of a job. */
export async function saveJob(transaction: Sql, job: Job): Promise<void> {
  await transaction.query(
    `UPDATE actions.command_jobs c
     SET revision = n.revision, status = n.status::actions.command_job_status, made = n.made, refused = n.refused,
         cursor = n.cursor, exhausted = n.exhausted, settled = n.settled, next_at = n."nextAt", updated_at = n."updatedAt",
         completed_at = n."completedAt"
     FROM jsonb_to_record($1::jsonb) AS n(id text, revision int, status text, made int, refused int, cursor text,
          exhausted boolean, settled boolean, "nextAt" timestamptz, "updatedAt" timestamptz, "completedAt" timestamptz)
     WHERE c.id = n.id`,
    [JSON.stringify(job)],
  );
}

/** Jobs at which the worker must look, the longest overdue first. */
export async function findDueJobs(sql: Sql, now: Date, limit: number): Promise<readonly Pick<Job, 'id' | 'tenant'>[]> {
  return sql.query<Pick<Job, 'id' | 'tenant'>>(
    `SELECT id, tenant FROM actions.command_jobs WHERE NOT settled AND next_at <= $1::timestamptz ORDER BY next_at LIMIT $2::int`,
    [now, limit],
  );
}

/** When the worker must look at a job next; undefined if there is none to look at. */
export async function nextJobTime(sql: Sql): Promise<Date | undefined> {
  const rows = await sql.query<{ due: Date | null }>(
    'SELECT min(next_at) AS due FROM actions.command_jobs WHERE NOT settled',
  );
  return rows[0]?.due ?? undefined;
}

function selected(
  tenant: string,
  selector: DeviceSelector,
): { readonly where: string; readonly parameters: unknown[] } {
  const parameters: unknown[] = [tenant];
  const place = (value: unknown): string => `$${parameters.push(value)}`;
  const conditions = selectorConditions(selector, targetColumns, place);
  return { where: ['t.tenant = $1::text', 't.active', ...conditions].join(' AND '), parameters };
}

/** How many devices of which type the selector selects, of those that take commands. */
export async function countSelected(
  sql: Sql,
  tenant: string,
  selector: DeviceSelector,
): Promise<readonly { readonly typeId: string; readonly devices: number }[]> {
  const { where, parameters } = selected(tenant, selector);
  return sql.query(
    `SELECT t.type_id AS "typeId", count(*)::int AS devices FROM actions.command_targets t WHERE ${where}
     GROUP BY t.type_id ORDER BY t.type_id`,
    parameters,
  );
}

/** The next devices of a job, in the order of their ids. */
export async function nextDevices(
  sql: Sql,
  job: Pick<Job, 'tenant' | 'selector' | 'cursor'>,
  limit: number,
): Promise<readonly { readonly deviceId: string; readonly typeId: string }[]> {
  const { where, parameters } = selected(job.tenant, job.selector);
  const behind = `$${parameters.push(job.cursor)}`;
  return sql.query(
    `SELECT t.device_id AS "deviceId", t.type_id AS "typeId" FROM actions.command_targets t
     WHERE ${where} AND t.device_id > ${behind}::text ORDER BY t.device_id LIMIT ${limit}`,
    parameters,
  );
}

/** How many commands of the job are open, counted up to `limit`. */
export async function countOpen(sql: Sql, jobId: string, limit: number): Promise<number> {
  const rows = await sql.query<{ open: number }>(
    `SELECT count(*)::int AS open FROM (
       SELECT FROM actions.commands WHERE job_id = $1::text AND status = ANY($2::actions.command_status[]) LIMIT $3::int) o`,
    [jobId, openStatuses, limit],
  );
  return rows[0]?.open ?? 0;
}

/** Some commands of the job that are open. */
export async function findOpen(sql: Sql, jobId: string, limit: number): Promise<readonly CommandKey[]> {
  return sql.query<CommandKey>(
    `SELECT id, tenant, device_id AS "deviceId" FROM actions.commands
     WHERE job_id = $1::text AND status = ANY($2::actions.command_status[]) ORDER BY id LIMIT $3::int`,
    [jobId, openStatuses, limit],
  );
}

export type StatusCounts = Readonly<Partial<Record<CommandStatus, number>>>;

/** The commands of jobs, counted by status. */
export async function countByStatus(sql: Sql, jobIds: readonly string[]): Promise<ReadonlyMap<string, StatusCounts>> {
  const rows = await sql.query<{ jobId: string; counts: StatusCounts }>(
    `SELECT job_id AS "jobId", jsonb_object_agg(status, commands) AS counts FROM (
       SELECT job_id, status::text AS status, count(*)::int AS commands FROM actions.commands
       WHERE job_id = ANY($1::text[]) GROUP BY job_id, status) c GROUP BY job_id`,
    [jobIds],
  );
  return new Map(rows.map(({ jobId, counts }) => [jobId, counts]));
}
