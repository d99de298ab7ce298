/**
 * `RuleConditionInput` of the graph to the condition of a rule, checked. The actions subgraph takes it to write a rule, the query
 * subgraph to test one: the input is the same, and so is what is said of it.
 */
import { assertStorableText } from '../../platform/database/storable.js';
import { FleetgraphError } from '../../platform/errors.js';
import { compileCondition, ConditionFault } from './compile.js';
import type { RuleCondition, RuleTerm } from './definition.js';
import { durationMs } from './duration.js';
import type { Kind } from './expression.js';

/** As GraphQL gives it: the types are right, the values unchecked. */
export interface RuleConditionInput {
  readonly when: string;
  readonly clearWhen?: string | null;
  readonly for?: string | null;
  readonly terms?: readonly RuleTermInput[] | null;
}

export interface RuleTermInput {
  readonly name: string;
  readonly threshold?: ThresholdInput | null;
  readonly held?: { readonly expression: string; readonly for: string } | null;
  readonly times?: { readonly expression: string; readonly times: number; readonly within: string } | null;
  readonly stale?: { readonly metric?: string | null; readonly after: string } | null;
  readonly offline?: { readonly after: string } | null;
  readonly rate?: { readonly metric: string; readonly over: string } | null;
  readonly anomaly?: {
    readonly metric: string;
    readonly halfLife?: number | null;
    readonly warmUp?: number | null;
  } | null;
}

interface ThresholdInput {
  readonly metric: string;
  readonly raiseAbove?: number | null;
  readonly clearBelow?: number | null;
  readonly raiseBelow?: number | null;
  readonly clearAbove?: number | null;
}

const kinds = ['threshold', 'held', 'times', 'stale', 'offline', 'rate', 'anomaly'] as const;
const maxExpressionLength = 2_000;

/**
 * Reads the condition; `field` is where it is. `metrics`: those that all devices have which the rule is about, if that is known.
 * @throws FleetgraphError BAD_USER_INPUT with the field at fault.
 */
export function readCondition(
  input: RuleConditionInput,
  field: string,
  metrics?: ReadonlyMap<string, Kind>,
): RuleCondition {
  const condition: RuleCondition = {
    when: expression(input.when, `${field}.when`),
    ...(given(input.clearWhen) ? { clearWhen: expression(input.clearWhen, `${field}.clearWhen`) } : {}),
    ...(given(input.for) ? { forMs: durationMs(input.for, `${field}.for`) } : {}),
    terms: (input.terms ?? []).map((term, index) => readTerm(term, `${field}.terms[${index}]`)),
  };
  try {
    compileCondition(condition, metrics);
  } catch (error) {
    if (error instanceof ConditionFault) throw bad(`${field}.${error.field}`, error.fault);
    throw error;
  }
  return condition;
}

function readTerm(input: RuleTermInput, field: string): RuleTerm {
  const { name } = input;
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name))
    throw bad(`${field}.name`, 'must be 1 to 64 letters, digits or "_", and not begin with a digit');
  const named = kinds.filter((kind) => given(input[kind]));
  const [kind] = named;
  if (named.length !== 1 || kind === undefined)
    throw bad(
      field,
      `must have exactly one of ${kinds.join(', ')}${named.length === 0 ? '' : `; it has ${named.join(' and ')}`}`,
    );
  const at = `${field}.${kind}`;
  if (given(input.threshold)) return { kind: 'THRESHOLD', name, ...readThreshold(input.threshold, at) };
  if (given(input.held)) {
    const { expression: text, for: duration } = input.held;
    return {
      kind: 'HELD',
      name,
      expression: expression(text, `${at}.expression`),
      forMs: durationMs(duration, `${at}.for`),
    };
  }
  if (given(input.times)) {
    const { times, within } = input.times;
    if (times < 1) throw bad(`${at}.times`, 'must be at least 1');
    const text = expression(input.times.expression, `${at}.expression`);
    return { kind: 'TIMES', name, expression: text, times, withinMs: durationMs(within, `${at}.within`) };
  }
  if (given(input.stale)) {
    const { metric, after } = input.stale;
    const missed = given(metric) ? { metric: metricName(metric, `${at}.metric`) } : {};
    return { kind: 'STALE', name, ...missed, afterMs: durationMs(after, `${at}.after`) };
  }
  if (given(input.offline)) return { kind: 'OFFLINE', name, afterMs: durationMs(input.offline.after, `${at}.after`) };
  if (given(input.rate)) {
    const { metric, over } = input.rate;
    return { kind: 'RATE', name, metric: metricName(metric, `${at}.metric`), overMs: durationMs(over, `${at}.over`) };
  }
  const { metric, halfLife, warmUp } = input.anomaly ?? { metric: '' };
  return {
    kind: 'ANOMALY',
    name,
    metric: metricName(metric, `${at}.metric`),
    halfLife: inRange(halfLife ?? 100, 1, `${at}.halfLife`),
    warmUp: inRange(warmUp ?? 30, 2, `${at}.warmUp`),
  };
}

function readThreshold(
  { metric, raiseAbove, clearBelow, raiseBelow, clearAbove }: ThresholdInput,
  field: string,
): { metric: string; direction: 'ABOVE' | 'BELOW'; raise: number; clear: number } {
  const name = metricName(metric, `${field}.metric`);
  if (given(raiseAbove) && !given(raiseBelow) && !given(clearAbove))
    return { metric: name, direction: 'ABOVE', raise: raiseAbove, clear: clearBelow ?? raiseAbove };
  if (given(raiseBelow) && !given(raiseAbove) && !given(clearBelow))
    return { metric: name, direction: 'BELOW', raise: raiseBelow, clear: clearAbove ?? raiseBelow };
  throw bad(field, 'must have "raiseAbove" with "clearBelow", or "raiseBelow" with "clearAbove"');
}

function expression(text: string, field: string): string {
  assertStorableText(text, field);
  if (text.length < 1 || text.length > maxExpressionLength)
    throw bad(field, `must be an expression of 1 to ${maxExpressionLength} characters`);
  return text;
}

function metricName(name: string, field: string): string {
  assertStorableText(name, field);
  if (name.length < 1 || name.length > 128) throw bad(field, 'must be 1 to 128 characters');
  return name;
}

function inRange(value: number, least: number, field: string): number {
  if (value >= least && value <= 100_000) return value;
  throw bad(field, `is ${value}; it must be from ${least} to 100,000`);
}

function given<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}

function bad(field: string, what: string): FleetgraphError {
  return new FleetgraphError('BAD_USER_INPUT', `${field} ${what}.`, { field });
}
