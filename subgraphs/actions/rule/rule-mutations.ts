/** `createRule`, `updateRule`, `deleteRule`: each is one transaction of write model, event and idempotency key. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { makeEvent } from '../../../backbone/events/envelope.js';
import { readCondition, type RuleConditionInput } from '../../../backbone/rules/condition-input.js';
import { compileCondition, ConditionFault } from '../../../backbone/rules/compile.js';
import type { RuleAction, RuleCondition, RuleSelector } from '../../../backbone/rules/definition.js';
import { append } from '../../../backbone/store/event-store.js';
import { once } from '../../../backbone/store/idempotency.js';
import { lastEventId } from '../../../backbone/store/last-event.js';
import { inTransaction, sqlOf, type Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { findTarget } from '../target/target-rows.js';
import type { TargetWatch } from '../target/target-watch.js';
import { knownMetrics } from './known-metrics.js';
import { decide, evolve, settingsOf, streamOf, type Rule, type RuleCommand, type RuleSettings } from './rule.js';
import {
  readKey,
  readRule,
  readRuleId,
  type CreateRuleInput,
  type DeleteRuleInput,
  type UpdateRuleInput,
  type WrittenRule,
} from './rule-input.js';
import { countRules, findRules, lockRule, removeRule, saveRule } from './rule-rows.js';

export type Caller = Pick<RequestContext, 'identity' | 'traceparent' | 'correlationId' | 'clientAddress'>;

export interface RuleReply {
  readonly rule: Rule;
  readonly consistencyToken: string;
}

export interface RuleMutations {
  create(caller: Caller, input: CreateRuleInput): Promise<RuleReply>;
  update(caller: Caller, input: UpdateRuleInput): Promise<RuleReply>;
  delete(caller: Caller, input: DeleteRuleInput): Promise<{ readonly id: string; readonly consistencyToken: string }>;
}

export interface RuleMutationsOptions {
  readonly pool: pg.Pool;
  readonly wakeRelay: () => void;
  /** Those of the tenant's webhooks that there are. Without it, no rule may name one. */
  readonly findWebhooks?: (
    sql: Sql,
    tenant: string,
    ids: readonly string[],
  ) => Promise<readonly { readonly id: string }[]>;
  readonly watch: Pick<TargetWatch, 'known'>;
  /** How long a device type or device that was made a moment ago is waited for. */
  readonly unknownTimeoutMs: number;
}

/** Bounds what evaluation costs for each reading. */
export const maxRulesOfTenant = 1_000;

interface Kept {
  readonly ruleId: string;
  readonly eventId: string;
}

export function createRuleMutations(options: RuleMutationsOptions): RuleMutations {
  const { pool, unknownTimeoutMs } = options;
  const reads = sqlOf(pool);

  const conditionFor = async (
    tenant: string,
    condition: RuleConditionInput,
    { typeIds }: RuleSelector,
  ): Promise<RuleCondition> =>
    readCondition(condition, 'input.condition', await knownMetrics(reads, tenant, typeIds, unknownTimeoutMs));

  /** A condition that stays must fit the devices that are new to the rule. */
  const checkAgain = async (tenant: string, condition: RuleCondition, { typeIds }: RuleSelector): Promise<void> => {
    const metrics = await knownMetrics(reads, tenant, typeIds, unknownTimeoutMs);
    try {
      compileCondition(condition, metrics);
    } catch (error) {
      if (!(error instanceof ConditionFault)) throw error;
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        `input.selector does not go with the rule's condition: its ${error.message}. Give both.`,
        { field: 'input.selector' },
      );
    }
  };

  /** @throws FleetgraphError NOT_FOUND if an action names what is not there. */
  const checkActions = async (tenant: string, actions: readonly RuleAction[]): Promise<void> => {
    const webhooks = actions.flatMap((action) => (action.kind === 'webhook' ? [action.webhookId] : []));
    const known = webhooks.length === 0 ? [] : ((await options.findWebhooks?.(reads, tenant, webhooks)) ?? []);
    for (const [index, action] of actions.entries()) {
      const field = `input.actions[${index}].${action.kind}`;
      if (action.kind === 'webhook' && !known.some(({ id }) => id === action.webhookId))
        throw new FleetgraphError('NOT_FOUND', `There is no webhook ${action.webhookId}. Check the id.`, {
          field: `${field}.webhookId`,
        });
      if (action.kind !== 'command' || action.deviceId === undefined) continue;
      const key = { tenant, deviceId: action.deviceId };
      const isKnown =
        (await findTarget(reads, key)) !== undefined || (await options.watch.known(key, unknownTimeoutMs));
      if (!isKnown)
        throw new FleetgraphError('NOT_FOUND', `There is no device ${action.deviceId}. Check the id.`, {
          field: `${field}.deviceId`,
        });
    }
  };

  const transact = async (
    caller: Caller,
    operation: string,
    { idempotencyKey, ...request }: { readonly idempotencyKey?: string | null },
    work: (sql: Sql) => Promise<Kept>,
  ): Promise<Kept> => {
    const key = readKey(idempotencyKey);
    const { tenant } = caller.identity;
    const kept = await inTransaction(pool, async (sql) => {
      if (key === undefined) return work(sql);
      const { response } = await once(sql, 'actions.idempotency_keys', { tenant, operation, key, request }, () =>
        work(sql),
      );
      return response;
    });
    options.wakeRelay();
    return kept;
  };

  /** Decides, writes and appends. */
  const apply = async (sql: Sql, caller: Caller, before: Rule | undefined, command: RuleCommand): Promise<Kept> => {
    const { tenant } = caller.identity;
    const facts = decide(before, command);
    const after = facts.reduce<Rule | undefined>(evolve, before);
    const ruleId = after?.id ?? before?.id ?? '';
    if (facts.length === 0) return { ruleId, eventId: await lastEventId(sql, tenant, streamOf(ruleId)) };
    if (after !== undefined) await saveRule(sql, after);
    else if (before !== undefined) await removeRule(sql, before);
    const cause = {
      actor: caller.identity.subject,
      clientaddress: caller.clientAddress,
      traceparent: caller.traceparent,
      correlationid: caller.correlationId,
    };
    const events = facts.map((fact) => makeEvent({ ...cause, ...fact, source: '/actions', subject: ruleId }));
    await append(sql, { tenant, stream: streamOf(ruleId), expectedRevision: before?.revision ?? 0, events });
    return { ruleId, eventId: events.at(-1)?.id ?? '' };
  };

  const replyOf = async (caller: Caller, { ruleId, eventId }: Kept): Promise<RuleReply> => {
    const [rule] = await findRules(reads, caller.identity.tenant, [ruleId]);
    if (rule === undefined) throw noSuchRule(ruleId);
    return { rule, consistencyToken: consistencyTokenOf(eventId) };
  };

  return {
    async create(caller, input) {
      const { tenant } = caller.identity;
      const written = readRule(input);
      const { selector = {}, actions = [] } = written;
      const condition = await conditionFor(tenant, input.condition, selector);
      await checkActions(tenant, actions);
      const settings: RuleSettings = {
        name: input.name,
        enabled: written.enabled ?? true,
        severity: written.severity ?? 'WARNING',
        selector,
        condition,
        actions: [...actions],
        ...(typeof written.description === 'string' ? { description: written.description } : {}),
      };
      const kept = await transact(caller, 'createRule', input, async (sql) => {
        if ((await countRules(sql, tenant)) >= maxRulesOfTenant)
          throw new FleetgraphError(
            'CONFLICT',
            `Your tenant has ${maxRulesOfTenant} rules, which is all it may have. Delete one first.`,
          );
        return apply(sql, caller, undefined, { kind: 'create', at: new Date(), tenant, id: randomUUID(), settings });
      });
      return replyOf(caller, kept);
    },

    async update(caller, input) {
      const { tenant } = caller.identity;
      const id = readRuleId(input.id);
      const written = readRule(input);
      const [known] = await findRules(reads, tenant, [id]);
      if (known === undefined) throw noSuchRule(id);
      const selector = written.selector ?? known.selector;
      const condition =
        written.condition === undefined ? undefined : await conditionFor(tenant, written.condition, selector);
      if (condition === undefined && written.selector !== undefined)
        await checkAgain(tenant, known.condition, selector);
      if (written.actions !== undefined) await checkActions(tenant, written.actions);
      const kept = await transact(caller, 'updateRule', input, async (sql) => {
        const before = await lockRule(sql, tenant, id);
        if (before === undefined) throw noSuchRule(id);
        // What was checked above was checked beside what has been read there.
        if (before.revision !== (input.ifRevision ?? known.revision))
          throw new FleetgraphError(
            'CONFLICT',
            `The rule ${id} has the revision ${before.revision} by now. Read it and retry.`,
          );
        const settings = changed(before, written, condition);
        return apply(sql, caller, before, { kind: 'update', at: new Date(), settings });
      });
      return replyOf(caller, kept);
    },

    async delete(caller, input) {
      const { tenant } = caller.identity;
      const id = readRuleId(input.id);
      const { eventId } = await transact(caller, 'deleteRule', input, async (sql) => {
        const before = await lockRule(sql, tenant, id);
        if (before === undefined) throw noSuchRule(id);
        return apply(sql, caller, before, { kind: 'delete', at: new Date() });
      });
      return { id, consistencyToken: consistencyTokenOf(eventId) };
    },
  };
}

function changed(before: Rule, written: WrittenRule, condition: RuleCondition | undefined): RuleSettings {
  const { description: _before, ...kept } = settingsOf(before);
  const description = written.description === undefined ? before.description : written.description;
  return {
    ...kept,
    ...(written.name === undefined ? {} : { name: written.name }),
    ...(written.enabled === undefined ? {} : { enabled: written.enabled }),
    ...(written.severity === undefined ? {} : { severity: written.severity }),
    ...(written.selector === undefined ? {} : { selector: written.selector }),
    ...(condition === undefined ? {} : { condition }),
    ...(written.actions === undefined ? {} : { actions: [...written.actions] }),
    ...(typeof description === 'string' ? { description } : {}),
  };
}

function noSuchRule(id: string): FleetgraphError {
  return new FleetgraphError('NOT_FOUND', `There is no rule ${id}. Check the id.`, { field: 'input.id' });
}
