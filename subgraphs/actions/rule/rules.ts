/** Rules in the graph: their mutations and reads, and what they need to know of device types. */
import DataLoader from 'dataloader';
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { sqlOf, type Sql } from '../../../platform/database/sql.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { FleetgraphError } from '../../../platform/errors.js';
import {
  decodeCursor,
  encodeCursor,
  pageSize,
  toConnection,
  type Connection,
  type PageArguments,
} from '../../../platform/graphql/page.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { isPossibleId } from '../command/command-input.js';
import { createDeclarationConsumer } from './declaration-consumer.js';
import type { Rule } from './rule.js';
import type { CreateRuleInput, DeleteRuleInput, UpdateRuleInput } from './rule-input.js';
import { createRuleMutations, type RuleMutationsOptions } from './rule-mutations.js';
import { findRules, listRules } from './rule-rows.js';

export type RuleLoader = DataLoader<string, Rule | undefined>;

export interface RulesContext extends RequestContext {
  readonly rules: RuleLoader;
}

const order = 'rules:newest';
/** The end of the year 9999: what a cursor of ours never passes. */
const latestMs = 253_402_300_799_999;

/** Batches the rules that one request reads. */
export function createRuleLoader(sql: Sql, tenant: string): RuleLoader {
  return new DataLoader(
    async (ids) => {
      const found = await findRules(sql, tenant, ids.filter(isPossibleId));
      const byId = new Map(found.map((rule) => [rule.id, rule]));
      return ids.map((id) => byId.get(id));
    },
    { maxBatchSize: 1_000 },
  );
}

export function createRules(
  options: RuleMutationsOptions & { bus: EventBus; pool: pg.Pool; log: Logger; metrics: Registry },
): { readonly consumer: Role; readonly resolvers: ReturnType<typeof resolversOf> } {
  const { bus, pool, log, metrics } = options;
  return {
    consumer: createDeclarationConsumer({ bus, pool, log, metrics }),
    resolvers: resolversOf(sqlOf(pool), createRuleMutations(options)),
  };
}

function resolversOf(sql: Sql, mutations: ReturnType<typeof createRuleMutations>) {
  return {
    Query: {
      rule: async (_: unknown, { id }: { id: string }, { rules }: RulesContext): Promise<Rule | null> =>
        (await rules.load(id)) ?? null,
      rules: (_: unknown, args: PageArguments, { identity }: RulesContext): Promise<Connection<Rule>> =>
        pageOfRules(sql, identity.tenant, args),
    },
    Mutation: {
      createRule: (_: unknown, { input }: { input: CreateRuleInput }, context: RulesContext) =>
        mutations.create(context, input),
      updateRule: (_: unknown, { input }: { input: UpdateRuleInput }, context: RulesContext) =>
        mutations.update(context, input),
      deleteRule: (_: unknown, { input }: { input: DeleteRuleInput }, context: RulesContext) =>
        mutations.delete(context, input),
    },
    Rule: {
      __resolveReference: async ({ id }: { id: string }, { rules }: RulesContext): Promise<Rule | null> =>
        (await rules.load(id)) ?? null,
    },
  };
}

async function pageOfRules(sql: Sql, tenant: string, args: PageArguments): Promise<Connection<Rule>> {
  const size = pageSize(args);
  const [time, id] = decodeCursor(order, args.after, 2) ?? [];
  const after = time === undefined || id === undefined ? undefined : { createdAtMs: Number(time), id };
  if (after !== undefined && !(after.createdAtMs >= 0 && after.createdAtMs <= latestMs))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The cursor is damaged. Take it from "pageInfo.endCursor", unchanged.',
      {
        field: 'after',
      },
    );
  return toConnection(await listRules(sql, tenant, size + 1, after), size, args, (rule) =>
    encodeCursor(order, [rule.createdAt.getTime(), rule.id]),
  );
}
