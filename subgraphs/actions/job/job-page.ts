/** Jobs as the graph shows them: how far each is, and pages of them, newest first. */
import DataLoader from 'dataloader';
import type { Sql } from '../../../platform/database/sql.js';
import { toConnection, type Connection, type PageArguments } from '../../../platform/graphql/page.js';
import { cursorOf, queryOf } from '../command/command-page.js';
import { countByStatus, listJobs, type Job, type StatusCounts } from './job-rows.js';

export type JobCounts = DataLoader<string, StatusCounts>;

/** The counts of one request: those of several jobs in one statement. */
export function createJobCounts(sql: Sql): JobCounts {
  return new DataLoader(async (ids) => {
    const counts = await countByStatus(sql, ids);
    return ids.map((id) => counts.get(id) ?? {});
  });
}

/** `CommandJobProgress` of the graph. */
export function progressOf(job: Job, counts: StatusCounts) {
  const commands = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return {
    // Of a job that was read a moment before its commands were counted, some more may have been made.
    waiting: job.exhausted || job.status !== 'RUNNING' ? 0 : Math.max(0, job.devices - commands - job.refused),
    refused: job.refused,
    queued: counts.QUEUED ?? 0,
    sent: counts.SENT ?? 0,
    delivered: counts.DELIVERED ?? 0,
    succeeded: counts.SUCCEEDED ?? 0,
    failed: counts.FAILED ?? 0,
    rejected: counts.REJECTED ?? 0,
    expired: counts.EXPIRED ?? 0,
    canceled: counts.CANCELED ?? 0,
  };
}

/** A page of the tenant's jobs. @throws FleetgraphError BAD_USER_INPUT with the argument at fault. */
export async function pageOfJobs(sql: Sql, tenant: string, args: PageArguments): Promise<Connection<Job>> {
  const { limit, after } = queryOf(args);
  return toConnection(await listJobs(sql, tenant, after, limit), limit - 1, args, cursorOf);
}
