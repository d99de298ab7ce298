/**
 * The life of alerts as two pure functions: `decide` says what happens (facts, which become events), `evolve` what the alert is
 * after it. Both look at the last alert of a rule and device: while it is active, no other one is raised.
 *
 *   fired -> ACTIVE -> CLEARED, by its rule or by hand; acknowledged or not, in either.
 *
 * Flapping: an alert whose rule has recovered `flapLimit` times within `flapWindowMs` is not cleared by the next recovery but held
 * until the rule has been calm for `calmMs`; whoever acts on alerts being raised and cleared is left in peace meanwhile.
 */
import type { EventData, Reading } from '../../../backbone/events/catalogue.js';
import type { RuleAction, RuleSeverity } from '../../../backbone/rules/definition.js';
import type { Alert, ClearCause } from './alert.js';

export const flapLimit = 3;
export const flapWindowMs = 600_000;
export const calmMs = 300_000;
export const maxComments = 100;

export type AlertEventType =
  | 'io.fleetgraph.alert.raised.v1'
  | 'io.fleetgraph.alert.repeated.v1'
  | 'io.fleetgraph.alert.held.v1'
  | 'io.fleetgraph.alert.cleared.v1'
  | 'io.fleetgraph.alert.acknowledged.v1'
  | 'io.fleetgraph.alert.commented.v1';

/** What happened to an alert: the part of its event that its life is about. */
export type AlertFact = {
  [T in AlertEventType]: {
    readonly type: T;
    readonly tenant: string;
    /** Who did it, if somebody did. */
    readonly actor?: string | undefined;
    readonly data: EventData<T>;
  };
}[AlertEventType];

/** What a rule says, somebody wants, or the clock. `atMs` is when, in epoch milliseconds. */
export type AlertInput =
  | {
      readonly kind: 'fired';
      readonly atMs: number;
      readonly tenant: string;
      /** Of the alert, if one is raised. */
      readonly alertId: string;
      readonly ruleId: string;
      readonly ruleName: string;
      readonly deviceId: string;
      readonly severity: RuleSeverity;
      readonly readings: readonly Reading[];
      readonly actions: readonly RuleAction[];
    }
  | { readonly kind: 'recovered'; readonly atMs: number; readonly cause: Exclude<ClearCause, 'BY_HAND'> }
  | { readonly kind: 'acknowledge'; readonly atMs: number; readonly by: string; readonly comment?: string | undefined }
  | { readonly kind: 'clear'; readonly atMs: number; readonly by: string; readonly comment?: string | undefined }
  | { readonly kind: 'comment'; readonly atMs: number; readonly by: string; readonly text: string }
  /** The clock: ends the wait of an alert that is held. */
  | { readonly kind: 'tick'; readonly atMs: number };

/** What follows from the input for the last alert of the rule and device; nothing, if it is past it. */
export function decide(alert: Alert | undefined, input: AlertInput): readonly AlertFact[] {
  const isActive = alert?.status === 'ACTIVE';
  if (input.kind === 'fired') {
    const { tenant, alertId, ruleId, ruleName, deviceId, severity } = input;
    const at = new Date(input.atMs).toISOString();
    const readings = [...input.readings];
    if (alert !== undefined && isActive)
      return [fact(alert, 'io.fleetgraph.alert.repeated.v1', input.atMs, { readings, count: alert.count + 1 })];
    const data = { alertId, ruleId, ruleName, deviceId, severity, at, readings, count: 1, actions: [...input.actions] };
    return [{ type: 'io.fleetgraph.alert.raised.v1', tenant, data }];
  }
  if (alert === undefined) return [];
  switch (input.kind) {
    case 'recovered':
      if (!isActive) return [];
      if (input.cause === 'CONDITION' && recent(alert.recoveries, input.atMs).length >= flapLimit)
        return [
          fact(alert, 'io.fleetgraph.alert.held.v1', input.atMs, {
            until: new Date(input.atMs + calmMs).toISOString(),
          }),
        ];
      return [cleared(alert, input.atMs, { cause: input.cause })];
    case 'tick':
      return isActive && alert.heldUntil !== null && alert.heldUntil.getTime() <= input.atMs
        ? [cleared(alert, alert.heldUntil.getTime(), { cause: 'CONDITION' })]
        : [];
    case 'clear':
      return isActive
        ? [{ ...cleared(alert, input.atMs, { cause: 'BY_HAND', ...noted(input.comment) }), actor: input.by }]
        : [];
    case 'acknowledge': {
      if (alert.acknowledgedAt !== null) return [];
      const { ruleName, actions } = alert;
      const data = { ruleName, actions: [...actions], ...noted(input.comment) };
      return [{ ...fact(alert, 'io.fleetgraph.alert.acknowledged.v1', input.atMs, data), actor: input.by }];
    }
    case 'comment':
      if (alert.comments.length >= maxComments) return [];
      return [
        { ...fact(alert, 'io.fleetgraph.alert.commented.v1', input.atMs, { text: input.text }), actor: input.by },
      ];
  }
}

/**
 * The last alert of the rule and device after the fact: the same one, or a new one after `raised`.
 * @throws Error when the fact is about another alert: such facts were not made by `decide`.
 */
export function evolve(alert: Alert | undefined, { type, tenant, data, actor = '' }: AlertFact): Alert {
  const at = new Date(data.at);
  if (type === 'io.fleetgraph.alert.raised.v1') {
    const { alertId: id, ruleId, ruleName, deviceId, severity, readings, actions, count } = data;
    return {
      id,
      tenant,
      ruleId,
      ruleName,
      deviceId,
      severity,
      status: 'ACTIVE',
      firstAt: at,
      lastAt: at,
      count,
      readings,
      actions,
      acknowledgedAt: null,
      acknowledgedBy: null,
      clearedAt: null,
      clearedBy: null,
      clearCause: null,
      comments: [],
      heldUntil: null,
      revision: 1,
      recoveries: recent(alert?.recoveries ?? [], at.getTime()),
    };
  }
  if (alert?.id !== data.alertId) throw new Error(`The alert ${data.alertId} was never raised.`);
  const next = { ...alert, revision: alert.revision + 1 };
  const comments = (text: string | undefined) =>
    text === undefined ? alert.comments : [...alert.comments, { at: data.at, by: actor, text }].slice(-maxComments);
  switch (type) {
    case 'io.fleetgraph.alert.repeated.v1':
      return { ...next, lastAt: at, count: data.count, readings: data.readings, heldUntil: null };
    case 'io.fleetgraph.alert.held.v1':
      return { ...next, heldUntil: new Date(data.until), recoveries: [...recent(alert.recoveries, +at), +at] };
    case 'io.fleetgraph.alert.cleared.v1':
      return {
        ...next,
        status: 'CLEARED',
        clearedAt: at,
        clearedBy: actor === '' ? null : actor,
        clearCause: data.cause,
        heldUntil: null,
        comments: comments(data.comment),
        recoveries: data.cause === 'CONDITION' ? [...recent(alert.recoveries, +at), +at] : alert.recoveries,
      };
    case 'io.fleetgraph.alert.acknowledged.v1':
      return { ...next, acknowledgedAt: at, acknowledgedBy: actor, comments: comments(data.comment) };
    case 'io.fleetgraph.alert.commented.v1':
      return { ...next, comments: comments(data.text) };
  }
}

/** Those of the moments that flapping is told by. */
function recent(recoveries: readonly number[], atMs: number): readonly number[] {
  return recoveries.filter((recovery) => atMs - recovery < flapWindowMs).slice(-flapLimit);
}

type Said<T extends AlertEventType> = Omit<EventData<T>, 'alertId' | 'ruleId' | 'deviceId' | 'at' | 'severity'>;

function fact<T extends AlertEventType>(
  alert: Alert,
  type: T,
  atMs: number,
  said: Said<T>,
): { type: T; tenant: string; data: EventData<T> } {
  const { id: alertId, ruleId, deviceId, severity, tenant } = alert;
  // Clocks differ between machines; the times of one alert do not run backwards for that.
  const at = new Date(Math.max(atMs, alert.lastAt.getTime())).toISOString();
  // TypeScript can't join a generic part with the rest; each caller's part is checked by `Said`.
  return { type, tenant, data: { alertId, ruleId, deviceId, severity, at, ...said } as unknown as EventData<T> };
}

function cleared(alert: Alert, atMs: number, why: { cause: ClearCause; comment?: string }) {
  const { ruleName, count } = alert;
  const data = { ruleName, count, readings: [...alert.readings], actions: [...alert.actions], ...why };
  return fact(alert, 'io.fleetgraph.alert.cleared.v1', atMs, data);
}

function noted(comment: string | undefined): { comment?: string } {
  return comment === undefined ? {} : { comment };
}
