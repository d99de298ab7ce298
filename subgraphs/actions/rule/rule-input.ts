/** The arguments of the mutations of rules, as far as they can be checked without asking anybody. */
import { readSelector, type DeviceSelector } from '../../../backbone/devices/label-selector.js';
import type { RuleConditionInput } from '../../../backbone/rules/condition-input.js';
import type { RuleAction, RuleSelector, RuleSeverity } from '../../../backbone/rules/definition.js';
import { assertStorableText } from '../../../platform/database/storable.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { isPossibleId } from '../command/command-input.js';
import { readActions, type RuleActionInput } from './action-input.js';

export interface CreateRuleInput {
  readonly name: string;
  readonly description?: string | null;
  readonly enabled?: boolean | null;
  readonly severity?: RuleSeverity | null;
  readonly selector?: unknown;
  readonly condition: RuleConditionInput;
  readonly actions?: readonly RuleActionInput[] | null;
  readonly idempotencyKey?: string | null;
}

export type UpdateRuleInput = Partial<Omit<CreateRuleInput, 'name' | 'condition'>> & {
  readonly id: string;
  readonly name?: string | null;
  readonly condition?: RuleConditionInput | null;
  readonly ifRevision?: number | null;
};

export interface DeleteRuleInput {
  readonly id: string;
  readonly idempotencyKey?: string | null;
}

/** What is to be written; the condition waits for the metrics that it may name. */
export interface WrittenRule {
  readonly name?: string;
  /** null: none. */
  readonly description?: string | null;
  readonly enabled?: boolean;
  readonly severity?: RuleSeverity;
  readonly selector?: RuleSelector;
  readonly condition?: RuleConditionInput;
  readonly actions?: readonly RuleAction[];
}

/** @throws FleetgraphError BAD_USER_INPUT with the field at fault. */
export function readRule(input: Omit<UpdateRuleInput, 'id'>): WrittenRule {
  const { name, description, enabled, severity, selector, condition, actions } = input;
  return {
    ...(given(name) ? { name: text(name, 200, 'input.name') } : {}),
    ...(description === undefined
      ? {}
      : { description: description === null ? null : text(description, 2_000, 'input.description') }),
    ...(given(enabled) ? { enabled } : {}),
    ...(given(severity) ? { severity } : {}),
    ...(selector === undefined ? {} : { selector: mutable(readSelector(selector ?? {}, 'input.selector')) }),
    ...(given(condition) ? { condition } : {}),
    ...(given(actions) ? { actions: readActions(actions, 'input.actions') } : {}),
  };
}

/** @throws FleetgraphError BAD_USER_INPUT. */
export function readRuleId(id: string): string {
  if (isPossibleId(id)) return id;
  throw new FleetgraphError('BAD_USER_INPUT', 'input.id is no id of a rule.', { field: 'input.id' });
}

/** Text of 1 to `max` characters that can be stored. @throws FleetgraphError BAD_USER_INPUT. */
export function text(value: string, max: number, field: string): string {
  assertStorableText(value, field);
  if (value.trim().length >= 1 && value.length <= max) return value;
  throw new FleetgraphError('BAD_USER_INPUT', `${field} must be 1 to ${max.toLocaleString('en')} characters.`, {
    field,
  });
}

/** A key, if there is one; `once` says what is wrong with it but for what it can't store. @throws FleetgraphError BAD_USER_INPUT. */
export function readKey(key: string | null | undefined): string | undefined {
  if (key === null || key === undefined) return undefined;
  return text(key, 200, 'input.idempotencyKey');
}

function given<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}

/** The same selector under the catalogue's type of it, which is not readonly; nobody writes to it. */
function mutable(selector: DeviceSelector): RuleSelector {
  return selector as RuleSelector;
}
