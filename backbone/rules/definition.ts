/**
 * What a rule is, as its events carry it: plain JSON that was checked when the rule was written. Durations are whole
 * milliseconds, expressions are CEL (https://cel.dev) over the names of metrics and terms; docs/actions.md is the manual.
 * Invariant: what is in here is stored for good in the event store; add members, never change the meaning of one.
 */
import { z } from 'zod';

const id = z.string().min(1).max(128);
const metric = z.string().min(1).max(128);
const expression = z.string().min(1).max(2_000);
const durationMs = z.int().positive();
const number = z.number();

const labelCondition = z.union([
  z.object({ key: z.string(), equals: z.string() }),
  z.object({ key: z.string(), in: z.array(z.string()) }),
  z.object({ key: z.string(), notIn: z.array(z.string()) }),
  z.object({ key: z.string(), exists: z.boolean() }),
]);

/** Which devices a rule is about: every condition that is there must hold. */
const ruleSelector = z.object({
  typeIds: z.array(id).optional(),
  labels: z.array(labelCondition).optional(),
  ids: z.array(id).optional(),
});

const termName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/);

/** Something that needs more than the last values: it has a state of its own, and a name by which expressions call it. */
const term = z.discriminatedUnion('kind', [
  /** True from `raise` on until the value is back behind `clear`. */
  z.object({
    kind: z.literal('THRESHOLD'),
    name: termName,
    metric,
    direction: z.enum(['ABOVE', 'BELOW']),
    raise: number,
    clear: number,
  }),
  /** True once the expression has been true for so long without a break. */
  z.object({ kind: z.literal('HELD'), name: termName, expression, forMs: durationMs }),
  /** True while the expression was true for at least `times` readings of the last `withinMs`. */
  z.object({ kind: z.literal('TIMES'), name: termName, expression, times: z.int().positive(), withinMs: durationMs }),
  /** True while nothing was heard for so long: of the metric, or of any that the rule knows. */
  z.object({ kind: z.literal('STALE'), name: termName, metric: metric.optional(), afterMs: durationMs }),
  /** True while the device has been offline for so long, having been online before. */
  z.object({ kind: z.literal('OFFLINE'), name: termName, afterMs: durationMs }),
  /** A number: change per second over the window. */
  z.object({ kind: z.literal('RATE'), name: termName, metric, overMs: durationMs }),
  /** A number: how many deviations the value is from what is usual; 0 until `warmUp` readings were heard. */
  z.object({
    kind: z.literal('ANOMALY'),
    name: termName,
    metric,
    halfLife: number.positive(),
    warmUp: z.int().positive(),
  }),
]);

const condition = z.object({
  /** CEL that is true when the rule is to fire. */
  when: expression,
  /** CEL that is true when a rule that has fired recovers; without it, when `when` is no longer true. */
  clearWhen: expression.optional(),
  /** How long `when` must be true without a break. */
  forMs: durationMs.optional(),
  terms: z.array(term),
});

/** What of an alert an action answers to. */
const on = z.array(z.enum(['RAISED', 'CLEARED', 'ACKNOWLEDGED'])).min(1);

const action = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('webhook'), on, webhookId: id }),
  /** To the device of the alert, or to another one of the tenant. */
  z.object({
    kind: z.literal('command'),
    on,
    deviceId: id.optional(),
    name: z.string(),
    parameters: z.json(),
    timeToLiveMs: durationMs,
  }),
  /** To `fleet/{tenant}/{device}/message` of the device of the alert; the topic goes with it. */
  z.object({ kind: z.literal('publish'), on, topic: z.string(), payload: z.json() }),
  z.object({ kind: z.literal('event'), on, name: z.string(), data: z.json() }),
]);

export const ruleSeverity = z.enum(['INFO', 'WARNING', 'CRITICAL']);
export const ruleActions = z.array(action);

/** The whole rule. `version` goes up by one with each change: the revision of its stream. */
export const ruleDefinition = z.object({
  ruleId: id,
  version: z.int().positive(),
  name: z.string(),
  description: z.string().optional(),
  enabled: z.boolean(),
  severity: ruleSeverity,
  selector: ruleSelector,
  condition,
  actions: ruleActions,
});

export type RuleDefinition = z.infer<typeof ruleDefinition>;
export type RuleCondition = z.infer<typeof condition>;
export type RuleTerm = z.infer<typeof term>;
export type RuleAction = z.infer<typeof action>;
export type RuleSeverity = z.infer<typeof ruleSeverity>;
export type RuleSelector = z.infer<typeof ruleSelector>;
