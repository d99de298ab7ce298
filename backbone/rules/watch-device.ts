/**
 * All rules about one device: takes what is heard of it, in order, and says which rules fire and recover.
 * Invariant: a reading counts once. One that is not newer than the last of its metric is dropped, so a second delivery
 * changes nothing. What was due before something is heard happens before it, at its own time: whether the clock or the next
 * reading is what wakes us makes no difference, and history gives what was seen live.
 */
import type { Reading } from '../events/catalogue.js';
import type { CompiledRule } from './compile.js';
import { evaluateRule, type RuleState } from './evaluate.js';
import type { Value } from './expression.js';
import type { Facts } from './terms.js';

/** What is remembered of a device; plain JSON. */
export interface WatchedDevice {
  /** The moment up to which it has been watched, epoch milliseconds. */
  readonly clock: number;
  readonly heardAt?: number | undefined;
  readonly metrics: Readonly<Record<string, { readonly value: Value; readonly at: number }>>;
  readonly presence?: { readonly online: boolean; readonly session: number; readonly at: number } | undefined;
  readonly rules: Readonly<Record<string, RuleState>>;
  /** When to look again if nothing is heard until then. */
  readonly dueAt?: number | undefined;
}

export const unwatched: WatchedDevice = { clock: 0, metrics: {}, rules: {} };

export interface Transition {
  readonly kind: 'fired' | 'recovered';
  readonly rule: CompiledRule;
  readonly at: number;
  /** The last value of each metric that the rule looks at. */
  readonly readings: readonly Reading[];
}

export interface Watched {
  readonly device: WatchedDevice;
  readonly transitions: readonly Transition[];
}

/** Rules about a device, by what makes them worth asking. */
export interface DeviceRules {
  readonly all: readonly CompiledRule[];
  readonly byMetric: ReadonlyMap<string, readonly CompiledRule[]>;
  readonly hearingAll: readonly CompiledRule[];
  readonly hearingPresence: readonly CompiledRule[];
  readonly waiting: readonly CompiledRule[];
}

export function deviceRules(all: readonly CompiledRule[]): DeviceRules {
  const byMetric = new Map<string, CompiledRule[]>();
  for (const rule of all)
    for (const metric of rule.metrics) {
      const rules = byMetric.get(metric);
      if (rules === undefined) byMetric.set(metric, [rule]);
      else rules.push(rule);
    }
  return {
    all,
    byMetric,
    hearingAll: all.filter(({ hearsAll }) => hearsAll),
    hearingPresence: all.filter(({ hearsPresence }) => hearsPresence),
    waiting: all.filter(({ waits }) => waits),
  };
}

/** Something went wrong inside of a rule; the others go on, and it keeps the state it had. */
export type OnFault = (rule: CompiledRule, error: unknown) => void;

/** How often time may pass in one step: a rule that is due again and again must not hold up the rest. */
const maxTicks = 1_000;
const nothing: ReadonlySet<string> = new Set();

/** A device being watched: changes are made on a copy, taken by `result`. */
export function watchDevice(before: WatchedDevice, rules: DeviceRules, onFault: OnFault) {
  let { clock, heardAt, presence } = before;
  // A metric may be called "constructor".
  const metrics = Object.assign(Object.create(null) as Record<string, { value: Value; at: number }>, before.metrics);
  const states = new Map(Object.entries(before.rules));
  /** When each rule that waits is due. */
  const dues = new Map<string, number>();
  let firstDue = before.dueAt;
  const transitions: Transition[] = [];

  const ask = (rule: CompiledRule, at: number, changed: ReadonlySet<string>): void => {
    const id = rule.definition.ruleId;
    const facts: Facts = { at, metrics, heardAt, presence, changed };
    try {
      const { state, transition, dueAt } = evaluateRule(rule, states.get(id), facts);
      if (state === undefined) states.delete(id);
      else states.set(id, state);
      if (dueAt === undefined) dues.delete(id);
      else {
        dues.set(id, dueAt);
        if (firstDue === undefined || dueAt < firstDue) firstDue = dueAt;
      }
      if (transition !== undefined) transitions.push({ kind: transition, rule, at, readings: readingsOf(rule) });
    } catch (error) {
      onFault(rule, error);
    }
  };

  const readingsOf = (rule: CompiledRule): Reading[] =>
    [...rule.metrics].flatMap((metric) => {
      const known = metrics[metric];
      return known === undefined ? [] : [{ metric, ...known }];
    });

  /** Lets time pass: whatever is due until then happens, each at its time. */
  const pass = (until: number): void => {
    for (let ticks = 0; firstDue !== undefined && firstDue <= until && ticks < maxTicks; ticks += 1) {
      // What was due before we were stopped happens now; time does not run backwards.
      clock = Math.max(clock, firstDue);
      firstDue = undefined;
      // Which rule it was is not kept: the others that wait say when they are due, and change nothing.
      for (const rule of rules.waiting) ask(rule, clock, nothing);
      firstDue = earliest(dues.values());
      if (firstDue !== undefined && firstDue <= clock) firstDue = clock + 1;
    }
  };

  return {
    pass,
    /** Takes readings of one message. */
    hear(readings: readonly Reading[]): void {
      for (const group of byMoment(readings)) {
        const fresh = group.filter(({ metric, at }) => !(at <= (metrics[metric]?.at ?? -1)));
        const [first] = fresh;
        if (first === undefined) continue;
        const wanted = fresh.filter(({ metric }) => rules.byMetric.has(metric));
        if (wanted.length === 0 && rules.hearingAll.length === 0) continue;
        const at = Math.max(clock, first.at);
        pass(at);
        clock = at;
        heardAt = Math.max(heardAt ?? 0, first.at);
        for (const { metric, value } of wanted) metrics[metric] = { value, at: first.at };
        const changed = new Set(wanted.map(({ metric }) => metric));
        const asked = new Set(rules.hearingAll);
        for (const metric of changed) for (const rule of rules.byMetric.get(metric) ?? []) asked.add(rule);
        for (const rule of asked) ask(rule, at, changed);
      }
    },
    /** Takes word of the device's connection. Word of an older session comes late, and changes nothing. */
    connect(word: { readonly online: boolean; readonly session: number; readonly at: number }): void {
      const isNews =
        presence === undefined
          ? true
          : word.session > presence.session || (word.session === presence.session && presence.online && !word.online);
      if (!isNews) return;
      const at = Math.max(clock, word.at);
      pass(at);
      clock = at;
      presence = word;
      for (const rule of rules.hearingPresence) ask(rule, at, nothing);
    },
    result(): Watched {
      const { all, waiting } = rules;
      const ids = new Set(all.map(({ definition }) => definition.ruleId));
      return {
        device: {
          clock,
          heardAt,
          presence,
          metrics: Object.fromEntries(Object.entries(metrics).filter(([metric]) => rules.byMetric.has(metric))),
          // State of a rule that is no longer about the device is for whoever ends it, not for us, to remove.
          rules: Object.fromEntries([...states].filter(([id, state]) => ids.has(id) || state.r === true)),
          dueAt: waiting.length === 0 ? undefined : firstDue,
        },
        transitions,
      };
    },
  };
}

/** The readings in the order of their time, those of one moment together. */
function byMoment(readings: readonly Reading[]): readonly (readonly Reading[])[] {
  const [only] = readings;
  if (readings.length === 1 && only !== undefined) return [[only]];
  const moments = new Map<number, Reading[]>();
  for (const reading of readings) {
    const moment = moments.get(reading.at);
    if (moment === undefined) moments.set(reading.at, [reading]);
    else moment.push(reading);
  }
  return [...moments].sort(([a], [b]) => a - b).map(([, moment]) => moment);
}

function earliest(times: Iterable<number>): number | undefined {
  let first: number | undefined;
  for (const time of times) if (first === undefined || time < first) first = time;
  return first;
}
