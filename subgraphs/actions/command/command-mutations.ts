/**
 * `sendCommand` and `cancelCommand`: each is one transaction of write model, events and idempotency key, which commit
 * together or not at all. What goes on after the commit (waking the relay, counting) is not needed for correctness.
 */
import { randomUUID } from 'node:crypto';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { once } from '../../../backbone/store/idempotency.js';
import { sqlOfPrisma, type Sql } from '../../../platform/database/sql.js';
import type { PrismaClient } from '../../../platform/database/prisma.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { findTarget } from '../target/target-rows.js';
import type { TargetWatch } from '../target/target-watch.js';
import type { FindCommandFault } from './accept-command.js';
import { appendEvents, eventOf } from './append-facts.js';
import { isFinal, type Command } from './command.js';
import type { CancelRequest, SendRequest } from './command-input.js';
import type { CommandMetrics } from './command-metrics.js';
import type { CommandFact } from './command-fact.js';
import { findCommands, insertCommands, lockCommand, saveCommands } from './command-rows.js';
import { decide, evolve, type CommandInput } from './life-cycle.js';

/** Who asks. */
export type Caller = Pick<RequestContext, 'identity' | 'traceparent' | 'correlationId' | 'clientAddress'>;

export interface CommandReply {
  readonly command: Command;
  readonly consistencyToken: string;
}

export interface CommandMutations {
  /**
   * Accepts a command.
   * @throws FleetgraphError NOT_FOUND if the tenant has no such device (after waiting for one that was registered just now),
   * CONFLICT if it is decommissioned or the idempotency key was used for something else, BAD_USER_INPUT if its type says that
   * it does not take such a command.
   */
  send(caller: Caller, request: SendRequest): Promise<CommandReply>;
  /** Cancels an open command. @throws FleetgraphError NOT_FOUND, or CONFLICT if it is not open any more. */
  cancel(caller: Caller, request: CancelRequest): Promise<CommandReply>;
}

export interface CommandMutationsOptions {
  readonly prisma: PrismaClient;
  /** Reads outside of the transactions. */
  readonly sql: Sql;
  readonly watch: TargetWatch;
  readonly metrics: CommandMetrics;
  readonly wakeRelay: () => void;
  /** How long a command waits for its device to become known. */
  readonly unknownDeviceTimeoutMs: number;
  readonly findFault: FindCommandFault;
}

/** What is kept under an idempotency key. */
interface KeptReply {
  readonly commandId: string;
  readonly eventId: string;
}

interface Step {
  readonly command: Command;
  readonly facts: readonly CommandFact[];
  readonly eventId: string;
}

/** Thrown out of the transaction, which then holds nothing while we wait for the device to become known. */
class UnknownDevice extends Error {}

export function createCommandMutations(options: CommandMutationsOptions): CommandMutations {
  const { prisma, watch, metrics } = options;

  /** Runs `work` in a transaction, once for each idempotency key, and tells what it did when that is committed. */
  const transact = async (
    caller: Caller,
    operation: string,
    request: { readonly idempotencyKey: string | undefined },
    work: (sql: Sql) => Promise<Step>,
  ): Promise<CommandReply> => {
    const { tenant } = caller.identity;
    let step: Step | undefined;
    const kept = await prisma.$transaction(async (transaction): Promise<KeptReply> => {
      const sql = sqlOfPrisma(transaction);
      const run = async (): Promise<KeptReply> => {
        step = await work(sql);
        return { commandId: step.command.id, eventId: step.eventId };
      };
      const { idempotencyKey: key, ...rest } = request;
      if (key === undefined) return run();
      const { response } = await once(sql, 'actions.idempotency_keys', { tenant, operation, key, request: rest }, run);
      return response;
    });
    if (step !== undefined) {
      metrics.moved(step.command, step.facts);
      options.wakeRelay();
    }
    const command = step?.command ?? (await findCommands(options.sql, tenant, [kept.commandId]))[0];
    if (command === undefined) throw noSuchCommand(kept.commandId);
    return { command, consistencyToken: consistencyTokenOf(kept.eventId) };
  };

  const sendOnce = (caller: Caller, request: SendRequest): Promise<CommandReply> =>
    transact(caller, 'sendCommand', request, async (sql) => {
      const { tenant } = caller.identity;
      const target = await findTarget(sql, { tenant, deviceId: request.deviceId });
      if (target?.commands === undefined) throw new UnknownDevice();
      if (!target.active) {
        throw new FleetgraphError(
          'CONFLICT',
          `The device ${request.deviceId} is decommissioned and takes no commands. Send it to another device.`,
        );
      }
      const { deviceId, name, parameters, timeToLiveMs, retry } = request;
      const fault = options.findFault({ typeId: target.typeId, commands: target.commands }, request);
      if (fault !== undefined) throw new FleetgraphError('BAD_USER_INPUT', fault.message, { field: fault.field });
      const step = next(undefined, {
        kind: 'request',
        atMs: Date.now(),
        tenant,
        commandId: randomUUID(),
        deviceId,
        name,
        parameters,
        timeToLiveMs,
        retry,
      });
      await insertCommands(sql, [step.command]);
      return { ...step, eventId: await appendStep(sql, caller, step) };
    });

  return {
    async send(caller, request) {
      const key = { tenant: caller.identity.tenant, deviceId: request.deviceId };
      try {
        return await sendOnce(caller, request);
      } catch (error) {
        if (!(error instanceof UnknownDevice)) throw error;
      }
      if (!(await watch.known(key, options.unknownDeviceTimeoutMs))) throw noSuchDevice(request.deviceId);
      return sendOnce(caller, request).catch((error: unknown) => {
        // It got another type in between, of which nothing has been heard yet.
        throw error instanceof UnknownDevice ? noSuchDevice(request.deviceId) : error;
      });
    },

    cancel: (caller, request) =>
      transact(caller, 'cancelCommand', request, async (sql) => {
        const before = await lockCommand(sql, caller.identity.tenant, request.id);
        if (before === undefined) throw noSuchCommand(request.id);
        if (isFinal(before.status)) {
          throw new FleetgraphError(
            'CONFLICT',
            `The command ${request.id} is ${before.status} since ${(before.completedAt ?? before.updatedAt).toISOString()}; only an open one can be canceled.`,
          );
        }
        const step = next(before, { kind: 'cancel', atMs: Date.now() });
        await saveCommands(sql, [step.command]);
        return { ...step, eventId: await appendStep(sql, caller, step) };
      }),
  };
}

function next(command: Command | undefined, input: CommandInput): Omit<Step, 'eventId'> {
  const facts = decide(command, input);
  const after = facts.reduce<Command | undefined>(evolve, command);
  if (after === undefined || facts.length === 0) throw new Error(`A ${input.kind} of a command decided nothing.`);
  return { command: after, facts };
}

/** @returns the id of the last event. */
async function appendStep(sql: Sql, caller: Caller, step: Omit<Step, 'eventId'>): Promise<string> {
  const cause = {
    actor: caller.identity.subject,
    clientaddress: caller.clientAddress,
    traceparent: caller.traceparent,
    correlationid: caller.correlationId,
  };
  const events = step.facts.map((fact) => eventOf(fact, cause));
  await appendEvents(sql, step.command, events);
  return events.at(-1)?.id ?? '';
}

function noSuchDevice(deviceId: string): FleetgraphError {
  return new FleetgraphError('NOT_FOUND', `There is no device ${deviceId}. Check the id.`, { field: 'input.deviceId' });
}

function noSuchCommand(id: string): FleetgraphError {
  return new FleetgraphError('NOT_FOUND', `There is no command ${id}. Check the id.`, { field: 'input.id' });
}
