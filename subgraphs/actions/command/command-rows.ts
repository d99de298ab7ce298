/** The SQL of the table `actions.commands`. Everything is asked by tenant except by those who act for all: signals, the clock. */
import { lockStream, lockStreams } from '../../../backbone/store/stream-lock.js';
import type { Sql } from '../../../platform/database/sql.js';
import { dueAt } from './attempts.js';
import { openStatuses, streamOf, type Command, type CommandStatus } from './command.js';

const columns = `id, tenant, device_id AS "deviceId", name, parameters, status::text AS status, revision, created_at AS "createdAt",
  updated_at AS "updatedAt", expires_at AS "expiresAt", sent_at AS "sentAt", delivered_at AS "deliveredAt",
  completed_at AS "completedAt", result, error, job_id AS "jobId", retry, attempt, answer_by AS "answerBy", retry_at AS "retryAt",
  progress, progress_message AS "progressMessage", progress_at AS "progressAt", pending_progress AS "pendingProgress"`;

/** The tenant's commands with these ids, in no order. */
export async function findCommands(sql: Sql, tenant: string, ids: readonly string[]): Promise<readonly Command[]> {
  return sql.query<Command>(
    `SELECT ${columns} FROM actions.commands WHERE tenant = $1::text AND id = ANY($2::text[])`,
    [tenant, ids],
  );
}

/** The tenant's command, locked until the end of the transaction: nobody else moves it meanwhile. */
export async function lockCommand(transaction: Sql, tenant: string, id: string): Promise<Command | undefined> {
  await lockStream(transaction, tenant, streamOf(id));
  const rows = await transaction.query<Command>(
    `SELECT ${columns} FROM actions.commands WHERE tenant = $1::text AND id = $2::text FOR UPDATE`,
    [tenant, id],
  );
  return rows[0];
}

/** What names a command to somebody who is not its tenant's user: all three must be right. */
export interface CommandKey {
  readonly id: string;
  readonly tenant: string;
  readonly deviceId: string;
}

/**
 * The commands with these keys, locked; one that is of another tenant or device is neither returned nor locked.
 * In the order of their ids, so that two batches never wait for each other.
 */
export async function lockCommands(transaction: Sql, keys: readonly CommandKey[]): Promise<readonly Command[]> {
  await lockStreams(
    transaction,
    keys.map(({ tenant, id }) => ({ tenant, stream: streamOf(id) })),
  );
  return transaction.query<Command>(
    `SELECT ${columns} FROM actions.commands
     WHERE id = ANY($1::text[]) AND (id, tenant, device_id) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
     ORDER BY id FOR UPDATE`,
    [keys.map(({ id }) => id), keys.map(({ tenant }) => tenant), keys.map(({ deviceId }) => deviceId)],
  );
}

/** Up to `limit` open commands of which something is due at `now`, locked; those that someone else has locked are left to them. */
export async function lockDueCommands(transaction: Sql, now: Date, limit: number): Promise<readonly Command[]> {
  return transaction.query<Command>(
    `SELECT ${columns} FROM actions.commands
     WHERE status = ANY($1::actions.command_status[]) AND due_at <= $2::timestamptz
     ORDER BY due_at LIMIT $3::int FOR UPDATE SKIP LOCKED`,
    [openStatuses, now, limit],
  );
}

/** When the next open command is due; undefined if none is open. One probe of the index for each status. */
export async function nextDueTime(sql: Sql): Promise<Date | undefined> {
  const rows = await sql.query<{ due: Date | null }>(
    `SELECT min(first.due) AS due
     FROM unnest($1::actions.command_status[]) AS open(status)
     CROSS JOIN LATERAL (SELECT due_at AS due FROM actions.commands WHERE status = open.status ORDER BY due_at LIMIT 1) first`,
    [openStatuses],
  );
  return rows[0]?.due ?? undefined;
}

/** Writes what has changed about commands that the transaction has locked. */
export async function saveCommands(transaction: Sql, commands: readonly Command[]): Promise<void> {
  if (commands.length === 0) return;
  await transaction.query(
    `UPDATE actions.commands c
     SET status = n.status::actions.command_status, revision = n.revision, updated_at = n."updatedAt", sent_at = n."sentAt",
         delivered_at = n."deliveredAt", completed_at = n."completedAt", result = nullif(n.result, 'null'::jsonb), error = n.error,
         attempt = n.attempt, answer_by = n."answerBy", retry_at = n."retryAt", progress = n.progress,
         progress_message = n."progressMessage", progress_at = n."progressAt",
         pending_progress = nullif(n."pendingProgress", 'null'::jsonb), due_at = n."dueAt"
     FROM jsonb_to_recordset($1::jsonb) AS n(id text, status text, revision int, "updatedAt" timestamptz, "sentAt" timestamptz,
          "deliveredAt" timestamptz, "completedAt" timestamptz, result jsonb, error text, attempt int, "answerBy" timestamptz,
          "retryAt" timestamptz, progress float8, "progressMessage" text, "progressAt" timestamptz, "pendingProgress" jsonb,
          "dueAt" timestamptz)
     WHERE c.id = n.id`,
    [JSON.stringify(commands.map((command) => ({ ...command, dueAt: dueAt(command) })))],
  );
}

/** Inserts commands that were requested just now. */
export async function insertCommands(transaction: Sql, commands: readonly Command[]): Promise<void> {
  await transaction.query(
    `INSERT INTO actions.commands (id, tenant, device_id, name, parameters, status, revision, created_at, updated_at, expires_at,
       job_id, retry, attempt, due_at)
     SELECT id, tenant, "deviceId", name, parameters, status::actions.command_status, revision, "createdAt", "updatedAt", "expiresAt",
       "jobId", nullif(retry, 'null'::jsonb), attempt, "dueAt"
     FROM jsonb_to_recordset($1::jsonb) AS n(id text, tenant text, "deviceId" text, name text, parameters jsonb, status text,
       revision int, "createdAt" timestamptz, "updatedAt" timestamptz, "expiresAt" timestamptz, "jobId" text, retry jsonb,
       attempt int, "dueAt" timestamptz)`,
    [JSON.stringify(commands.map((command) => ({ ...command, dueAt: dueAt(command) })))],
  );
}

/** Which commands a list holds, and how much of it. */
export interface CommandQuery {
  readonly statuses?: readonly CommandStatus[] | undefined;
  readonly name?: string | undefined;
  /** Only what comes behind this one, newest first. */
  readonly after?: { readonly createdAtMs: number; readonly id: string } | undefined;
  readonly limit: number;
}

/** The tenant's commands, newest first. */
export async function listCommands(
  sql: Sql,
  tenant: string,
  query: CommandQuery & { readonly deviceId?: string | undefined; readonly jobId?: string | undefined },
): Promise<readonly Command[]> {
  const conditions = conditionsOf(query, [tenant, query.limit]);
  if (query.deviceId !== undefined) conditions.add('device_id = ?::text', query.deviceId);
  if (query.jobId !== undefined) conditions.add('job_id = ?::text', query.jobId);
  return sql.query<Command>(
    `SELECT ${columns} FROM actions.commands WHERE tenant = $1::text ${conditions.text()}
     ORDER BY created_at DESC, id DESC LIMIT $2::int`,
    conditions.parameters,
  );
}

/** The same list for each of several devices, in one statement. A device without commands is not in the map. */
export async function listCommandsOfDevices(
  sql: Sql,
  tenant: string,
  deviceIds: readonly string[],
  query: CommandQuery,
): Promise<ReadonlyMap<string, readonly Command[]>> {
  const conditions = conditionsOf(query, [tenant, query.limit, deviceIds]);
  const rows = await sql.query<Command>(
    `SELECT listed.* FROM unnest($3::text[]) AS device(id)
     CROSS JOIN LATERAL (
       SELECT ${columns} FROM actions.commands WHERE tenant = $1::text AND device_id = device.id ${conditions.text()}
       ORDER BY created_at DESC, id DESC LIMIT $2::int) listed
     ORDER BY listed."createdAt" DESC, listed.id DESC`,
    conditions.parameters,
  );
  const byDevice = new Map<string, Command[]>();
  for (const row of rows) {
    const list = byDevice.get(row.deviceId);
    if (list === undefined) byDevice.set(row.deviceId, [row]);
    else list.push(row);
  }
  return byDevice;
}

/** Conditions that a list has beside its tenant, with their parameters behind those given. */
function conditionsOf(query: CommandQuery, given: readonly unknown[]) {
  const parameters = [...given];
  const clauses: string[] = [];
  const add = (clause: string, ...values: readonly unknown[]): void => {
    let used = 0;
    clauses.push(
      clause.replaceAll('?', () => {
        parameters.push(values[used]);
        used += 1;
        return `$${parameters.length}`;
      }),
    );
  };
  if (query.statuses !== undefined) add('status = ANY(?::actions.command_status[])', query.statuses);
  if (query.name !== undefined) add('name = ?::text', query.name);
  if (query.after !== undefined)
    add('(created_at, id) < (?::timestamptz, ?::text)', new Date(query.after.createdAtMs), query.after.id);
  return { add, parameters, text: () => clauses.map((clause) => `AND ${clause}`).join(' ') };
}
