/**
 * A rule as two pure functions: `decide` says what happens, `evolve` what the rule is after it.
 * Invariant: `revision` goes up by one with each event and equals `version` in it; a deleted rule is never heard of again.
 */
import type { EventData } from '../../../backbone/events/catalogue.js';
import type { RuleDefinition } from '../../../backbone/rules/definition.js';
import { isDeepStrictEqual } from 'node:util';

export type RuleEventType =
  'io.fleetgraph.rule.created.v1' | 'io.fleetgraph.rule.updated.v1' | 'io.fleetgraph.rule.deleted.v1';

/** What of a rule its author says. */
export type RuleSettings = Omit<RuleDefinition, 'ruleId' | 'version'>;

export interface Rule extends RuleSettings {
  readonly id: string;
  readonly tenant: string;
  /** Revision of the stream `rule-{id}`. */
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export type RuleFact = {
  [T in RuleEventType]: {
    readonly type: T;
    readonly tenant: string;
    readonly time: string;
    readonly data: EventData<T>;
  };
}[RuleEventType];

export type RuleCommand =
  | {
      readonly kind: 'create';
      readonly at: Date;
      readonly tenant: string;
      readonly id: string;
      readonly settings: RuleSettings;
    }
  | { readonly kind: 'update'; readonly at: Date; readonly settings: RuleSettings }
  | { readonly kind: 'delete'; readonly at: Date };

/** What follows from the command; nothing, if the rule is so already. */
export function decide(rule: Rule | undefined, command: RuleCommand): readonly RuleFact[] {
  if (command.kind === 'create') {
    if (rule !== undefined) return [];
    const { id: ruleId, tenant, settings } = command;
    const data = { ...settings, ruleId, version: 1 };
    return [{ type: 'io.fleetgraph.rule.created.v1', tenant, time: command.at.toISOString(), data }];
  }
  if (rule === undefined) return [];
  const { tenant, id: ruleId } = rule;
  const version = rule.revision + 1;
  const time = new Date(Math.max(command.at.getTime(), rule.updatedAt.getTime())).toISOString();
  if (command.kind === 'delete')
    return [{ type: 'io.fleetgraph.rule.deleted.v1', tenant, time, data: { ruleId, version } }];
  if (isDeepStrictEqual(settingsOf(rule), command.settings)) return [];
  return [{ type: 'io.fleetgraph.rule.updated.v1', tenant, time, data: { ...command.settings, ruleId, version } }];
}

/** The rule after the fact; undefined when it is deleted. */
export function evolve(rule: Rule | undefined, fact: RuleFact): Rule | undefined {
  if (fact.type === 'io.fleetgraph.rule.deleted.v1') return undefined;
  const { ruleId: id, version: revision, ...settings } = fact.data;
  const at = new Date(fact.time);
  return { ...settings, id, revision, tenant: fact.tenant, createdAt: rule?.createdAt ?? at, updatedAt: at };
}

export function settingsOf({ name, description, enabled, severity, selector, condition, actions }: Rule): RuleSettings {
  return {
    name,
    enabled,
    severity,
    selector,
    condition,
    actions,
    ...(description === undefined ? {} : { description }),
  };
}

/** The rule's stream in the event store. */
export function streamOf(ruleId: string): string {
  return `rule-${ruleId}`;
}
