/** `sendCommands` and `cancelCommandJob`: each is one transaction of job, event and idempotency key. The worker does the rest. */
import { randomUUID } from 'node:crypto';
import type { EventData } from '../../../backbone/events/catalogue.js';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { makeEvent } from '../../../backbone/events/envelope.js';
import { append } from '../../../backbone/store/event-store.js';
import { once } from '../../../backbone/store/idempotency.js';
import { lockStream } from '../../../backbone/store/stream-lock.js';
import type { PrismaClient } from '../../../platform/database/prisma.js';
import { sqlOfPrisma, type Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { FindCommandFault } from '../command/accept-command.js';
import type { CancelRequest } from '../command/command-input.js';
import type { Caller } from '../command/command-mutations.js';
import { findTargetTypes } from '../target/target-rows.js';
import type { SendManyRequest } from './job-input.js';
import { countSelected, findJob, insertJob, jobStreamOf, saveJob, type Job } from './job-rows.js';

export interface JobReply {
  readonly job: Job;
  readonly consistencyToken: string;
}

export interface JobMutations {
  /** Accepts a job. @throws FleetgraphError BAD_USER_INPUT if no device is selected, or a type of them does not take the command. */
  send(caller: Caller, request: SendManyRequest): Promise<JobReply>;
  /** Cancels a job that runs. @throws FleetgraphError NOT_FOUND, or CONFLICT if it has ended. */
  cancel(caller: Caller, request: CancelRequest): Promise<JobReply>;
}

export function createJobMutations(options: {
  prisma: PrismaClient;
  /** Reads outside of the transactions. */
  sql: Sql;
  findFault: FindCommandFault;
  wakeRelay: () => void;
  wakeWorker: () => void;
}): JobMutations {
  const transact = async (
    caller: Caller,
    operation: string,
    request: { readonly idempotencyKey: string | undefined },
    work: (sql: Sql) => Promise<{ readonly jobId: string; readonly eventId: string }>,
  ): Promise<JobReply> => {
    const { tenant } = caller.identity;
    const { idempotencyKey: key, ...rest } = request;
    const { jobId, eventId } = await options.prisma.$transaction(async (transaction) => {
      const sql = sqlOfPrisma(transaction);
      if (key === undefined) return work(sql);
      return (await once(sql, 'actions.idempotency_keys', { tenant, operation, key, request: rest }, () => work(sql)))
        .response;
    });
    options.wakeRelay();
    options.wakeWorker();
    const job = await findJob(options.sql, tenant, jobId);
    if (job === undefined) throw noSuchJob(jobId);
    return { job, consistencyToken: consistencyTokenOf(eventId) };
  };

  return {
    send: (caller, request) =>
      transact(caller, 'sendCommands', request, async (sql) => {
        const { tenant } = caller.identity;
        const { selector, order } = request;
        const devices = await countDevices(sql, tenant, request, options.findFault);
        const now = new Date();
        const job: Job = {
          id: randomUUID(),
          tenant,
          revision: 1,
          status: 'RUNNING',
          selector,
          order,
          devices,
          made: 0,
          refused: 0,
          cursor: '',
          exhausted: false,
          settled: false,
          nextAt: now,
          createdAt: now,
          updatedAt: now,
          completedAt: null,
          actor: caller.identity.subject,
          traceparent: caller.traceparent ?? null,
          correlationId: caller.correlationId ?? null,
        };
        await insertJob(sql, job);
        const { maxOpen, perSecond, retry, name, parameters, timeToLiveMs } = order;
        const type = 'io.fleetgraph.command-job.requested.v1';
        const data = {
          jobId: job.id,
          name,
          parameters,
          selector,
          timeToLiveMs,
          devices,
          ...(retry === undefined ? {} : { retry }),
          ...(maxOpen === undefined ? {} : { maxOpen }),
          ...(perSecond === undefined ? {} : { perSecond }),
        } as unknown as EventData<typeof type>;
        const event = makeEvent({ ...causeOf(caller), source: '/actions', type, subject: job.id, tenant, data });
        await append(sql, { tenant, stream: jobStreamOf(job.id), expectedRevision: 0, events: [event] });
        return { jobId: job.id, eventId: event.id };
      }),

    cancel: (caller, request) =>
      transact(caller, 'cancelCommandJob', request, async (sql) => {
        const { tenant } = caller.identity;
        const jobId = request.id;
        await lockStream(sql, tenant, jobStreamOf(jobId));
        const job = await findJob(sql, tenant, jobId);
        if (job === undefined) throw noSuchJob(jobId);
        if (job.status !== 'RUNNING')
          throw new FleetgraphError(
            'CONFLICT',
            `The job ${jobId} is ${job.status}; only a running one can be canceled.`,
          );
        const now = new Date();
        await saveJob(sql, { ...job, status: 'CANCELED', revision: job.revision + 1, updatedAt: now, nextAt: now });
        const event = makeEvent({
          ...causeOf(caller),
          source: '/actions',
          type: 'io.fleetgraph.command-job.canceled.v1' as const,
          subject: jobId,
          tenant,
          data: { jobId },
        });
        await append(sql, { tenant, stream: jobStreamOf(jobId), expectedRevision: job.revision, events: [event] });
        return { jobId, eventId: event.id };
      }),
  };
}

/** How many devices are selected. @throws FleetgraphError BAD_USER_INPUT if there are none, or one of them would not take it. */
async function countDevices(
  sql: Sql,
  tenant: string,
  { selector, order }: SendManyRequest,
  findFault: FindCommandFault,
): Promise<number> {
  const counted = await countSelected(sql, tenant, selector);
  const types = await findTargetTypes(
    sql,
    tenant,
    counted.map(({ typeId }) => typeId),
  );
  for (const { typeId } of counted) {
    const fault = findFault({ typeId, commands: types.get(typeId) ?? [] }, order);
    if (fault !== undefined) throw new FleetgraphError('BAD_USER_INPUT', fault.message, { field: fault.field });
  }
  const devices = counted.reduce((sum, type) => sum + type.devices, 0);
  if (devices === 0) {
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'input.selector selects no device that is in service. Devices that were registered within the last second may be missing.',
      { field: 'input.selector' },
    );
  }
  return devices;
}

function causeOf(caller: Caller) {
  const { identity, clientAddress: clientaddress, traceparent, correlationId: correlationid } = caller;
  return { actor: identity.subject, clientaddress, traceparent, correlationid };
}

function noSuchJob(id: string): FleetgraphError {
  return new FleetgraphError('NOT_FOUND', `There is no job ${id}. Check the id.`, { field: 'input.id' });
}
