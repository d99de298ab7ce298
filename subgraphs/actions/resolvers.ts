/** The resolvers of `schema.graphql`: arguments in, the command's own functions, rows out. */
import type { Sql } from '../../platform/database/sql.js';
import type { Connection, PageArguments } from '../../platform/graphql/page.js';
import { scalarResolvers } from '../../platform/graphql/scalars.js';
import type { Resolvers } from '../../platform/graphql/subgraph.js';
import type { Alert } from './alert/alert.js';
import type { AlertsContext, createAlerts, DeviceAlertsArguments } from './alert/alerts.js';
import type { Command } from './command/command.js';
import {
  isPossibleId,
  readCancelCommandInput,
  readSendCommandInput,
  type CancelCommandInput,
  type SendCommandInput,
} from './command/command-input.js';
import type { CommandLoaders, DeviceCommandsArguments } from './command/command-loaders.js';
import type { CommandMutations, CommandReply } from './command/command-mutations.js';
import type { DeadLetterResolvers } from './dead-letter/dead-letter-resolvers.js';
import type { WebhookResolvers } from './webhook/webhook-resolvers.js';
import { findJob, type Job } from './job/job-rows.js';
import { readSendCommandsInput, type SendCommandsInput } from './job/job-input.js';
import type { JobMutations, JobReply } from './job/job-mutations.js';
import { pageOfJobs, progressOf, type JobCounts } from './job/job-page.js';
import { pageOfCommands, type CommandFilter } from './command/command-page.js';
import type { createRules } from './rule/rules.js';

/** What the resolvers get. */
export interface ActionsContext extends AlertsContext {
  readonly commands: CommandLoaders;
  readonly jobCounts: JobCounts;
}

/** A reference to a device, as the other subgraphs resolve it. */
interface DeviceReference {
  readonly __typename: 'Device';
  readonly id: string;
}

export function createResolvers(options: {
  sql: Sql;
  mutations: CommandMutations;
  jobs: JobMutations;
  webhooks: WebhookResolvers;
  deadLetters: DeadLetterResolvers;
  rules: ReturnType<typeof createRules>['resolvers'];
  alerts: ReturnType<typeof createAlerts>['resolvers'];
}): Resolvers {
  const { sql, mutations, jobs, webhooks, deadLetters, rules, alerts } = options;
  return {
    ...webhooks,
    ...deadLetters,
    ...rules,
    ...alerts,
    DateTime: scalar('DateTime'),
    Duration: scalar('Duration'),
    JSON: scalar('JSON'),

    Query: {
      ...webhooks.Query,
      ...deadLetters.Query,
      ...rules.Query,
      ...alerts.Query,
      command: async (_: unknown, { id }: { id: string }, { commands }: ActionsContext): Promise<Command | null> =>
        (await commands.command(id)) ?? null,
      commands: (
        _: unknown,
        args: PageArguments & { filter?: CommandFilter | null },
        { identity }: ActionsContext,
      ): Promise<Connection<Command>> => pageOfCommands(sql, identity.tenant, args),
      commandJob: async (_: unknown, { id }: { id: string }, { identity }: ActionsContext): Promise<Job | null> =>
        isPossibleId(id) ? ((await findJob(sql, identity.tenant, id)) ?? null) : null,
      commandJobs: (_: unknown, args: PageArguments, { identity }: ActionsContext): Promise<Connection<Job>> =>
        pageOfJobs(sql, identity.tenant, args),
    },

    CommandJob: {
      name: ({ order }: Job) => order.name,
      parameters: ({ order }: Job) => order.parameters,
      progress: async (job: Job, _: unknown, { jobCounts }: ActionsContext) =>
        progressOf(job, await jobCounts.load(job.id)),
    },

    Mutation: {
      ...webhooks.Mutation,
      ...deadLetters.Mutation,
      ...rules.Mutation,
      ...alerts.Mutation,
      sendCommands: (_: unknown, { input }: { input: SendCommandsInput }, context: ActionsContext): Promise<JobReply> =>
        jobs.send(context, readSendCommandsInput(input)),
      cancelCommandJob: (
        _: unknown,
        { input }: { input: CancelCommandInput },
        context: ActionsContext,
      ): Promise<JobReply> => jobs.cancel(context, readCancelCommandInput(input, 'a job')),
      sendCommand: (
        _: unknown,
        { input }: { input: SendCommandInput },
        context: ActionsContext,
      ): Promise<CommandReply> => mutations.send(context, readSendCommandInput(input)),
      cancelCommand: (
        _: unknown,
        { input }: { input: CancelCommandInput },
        context: ActionsContext,
      ): Promise<CommandReply> => mutations.cancel(context, readCancelCommandInput(input)),
    },

    Command: {
      __resolveReference: async ({ id }: { id: string }, { commands }: ActionsContext): Promise<Command | null> =>
        (await commands.command(id)) ?? null,
      device: ({ deviceId }: Command): DeviceReference => ({ __typename: 'Device', id: deviceId }),
    },

    Device: {
      // Whether there is such a device is for the device subgraph to say: here it has the tenant's commands, or none.
      __resolveReference: ({ id }: DeviceReference): DeviceReference => ({ __typename: 'Device', id }),
      commands: (
        { id }: DeviceReference,
        args: DeviceCommandsArguments,
        { commands }: ActionsContext,
      ): Promise<Connection<Command>> => commands.ofDevice(id, args),
      alerts: (
        { id }: DeviceReference,
        args: DeviceAlertsArguments,
        { alerts: loaders }: ActionsContext,
      ): Promise<Connection<Alert>> => loaders.ofDevice(id, args),
    },
  };
}

function scalar(name: string) {
  const resolver = scalarResolvers[name];
  if (resolver === undefined) throw new Error(`The scalar ${name} has no resolver.`);
  return resolver;
}
