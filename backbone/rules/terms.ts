/**
 * Terms: the parts of a condition that need more than the last values, each a pure step from state to state. The state is
 * plain JSON and bounded, whatever comes in. Times are epoch milliseconds.
 * A term that waits for time to pass says when it is due: then it is asked again, though nothing was heard.
 */
import type { RuleTerm } from './definition.js';
import type { Expression, TermValue, Value } from './expression.js';

/** What is known of a device at a moment. */
export interface Facts {
  /** The moment; never before that of the step before. */
  readonly at: number;
  readonly metrics: Readonly<Record<string, { readonly value: Value; readonly at: number }>>;
  /** When a reading of any metric was heard last. */
  readonly heardAt: number | undefined;
  readonly presence: { readonly online: boolean; readonly at: number } | undefined;
  /** Metrics that have a new value since the step before. */
  readonly changed: ReadonlySet<string>;
}

/** State of a term: what its kind keeps, under one-letter names because there is one for each rule, device and term. */
export interface TermState {
  /** Whether it is true. */
  readonly on?: boolean;
  /** Since when something has been so. */
  readonly s?: number;
  /** Moments (TIMES), or samples as time and value by turns (RATE). */
  readonly w?: readonly number[];
  /** Mean, deviation, number of readings, last score (ANOMALY). */
  readonly m?: number;
  readonly d?: number;
  readonly n?: number;
  readonly z?: number;
}

export interface Step {
  readonly state: TermState;
  /** Undefined as long as it can't be said. */
  readonly value: TermValue | undefined;
  /** When to ask again if nothing is heard until then. */
  readonly dueAt?: number | undefined;
}

export interface CompiledTerm {
  readonly term: RuleTerm;
  /** Of HELD and TIMES. */
  readonly expression?: Expression | undefined;
}

export type Ask = (expression: Expression) => boolean | undefined;

const maxSamples = 64;

/** One step of a term. `ask` evaluates its expression, if it has one. */
export function stepTerm({ term, expression }: CompiledTerm, state: TermState, facts: Facts, ask: Ask): Step {
  switch (term.kind) {
    case 'THRESHOLD':
      return threshold(term, state, numberOf(facts, term.metric));
    case 'HELD':
      return held(state, expression !== undefined && ask(expression) === true, facts.at, term.forMs);
    case 'TIMES':
      return times(term, state, facts, expression, ask);
    case 'STALE': {
      const heardAt = term.metric === undefined ? facts.heardAt : facts.metrics[term.metric]?.at;
      // What was never heard is missed from the moment on at which the rule was first asked.
      const since = state.s ?? facts.at;
      return { ...passed(Math.max(heardAt ?? 0, since), facts.at, term.afterMs), state: { s: since } };
    }
    case 'OFFLINE':
      if (facts.presence?.online !== false) return { state: {}, value: false };
      return { ...passed(facts.presence.at, facts.at, term.afterMs), state: {} };
    case 'RATE':
      return rate(term, state, facts);
    case 'ANOMALY':
      return anomaly(term, state, facts);
  }
}

/** Whether a length of time has passed, and if not, when it will have. */
export function passed(since: number, at: number, ms: number): { value: boolean; dueAt?: number } {
  return at - since >= ms ? { value: true } : { value: false, dueAt: since + ms };
}

function held(state: TermState, holds: boolean, at: number, forMs: number): Step {
  if (!holds) return { state: {}, value: false };
  const s = state.s ?? at;
  return { ...passed(s, at, forMs), state: { s } };
}

function threshold(
  { direction, raise, clear }: Extract<RuleTerm, { kind: 'THRESHOLD' }>,
  state: TermState,
  value: number | undefined,
): Step {
  const before = state.on === true;
  if (value === undefined) return { state, value: state.on };
  const sign = direction === 'ABOVE' ? 1 : -1;
  const on = before ? !(sign * value < sign * clear) : sign * value > sign * raise;
  return { state: { on }, value: on };
}

function times(
  term: Extract<RuleTerm, { kind: 'TIMES' }>,
  state: TermState,
  facts: Facts,
  expression: Expression | undefined,
  ask: Ask,
): Step {
  const isNew = expression !== undefined && anyOf(expression.metrics, facts.changed);
  const heard = isNew && ask(expression) === true ? [...(state.w ?? []), facts.at] : (state.w ?? []);
  // More than `times` moments are never needed: the oldest of the last `times` decides.
  const w = heard.slice(-term.times).filter((at) => facts.at - at < term.withinMs);
  const [oldest] = w;
  const value = w.length >= term.times;
  return {
    state: w.length === 0 ? {} : { w },
    value,
    ...(value && oldest !== undefined ? { dueAt: oldest + term.withinMs } : {}),
  };
}

function rate(term: Extract<RuleTerm, { kind: 'RATE' }>, state: TermState, facts: Facts): Step {
  const value = numberOf(facts, term.metric);
  const at = facts.metrics[term.metric]?.at;
  let w = state.w ?? [];
  if (value !== undefined && at !== undefined && facts.changed.has(term.metric)) w = [...w, at, value];
  const newest = w.at(-2) ?? 0;
  let from = 0;
  while (from < w.length && newest - (w[from] ?? 0) > term.overMs) from += 2;
  w = w.slice(from);
  // The oldest sample is what the change is measured against: of too many, those behind it give way.
  if (w.length > 2 * maxSamples) w = [...w.slice(0, 2), ...w.slice(4)];
  const [firstAt = 0, first = 0] = w;
  const elapsedMs = newest - firstAt;
  return {
    state: w.length === 0 ? {} : { w },
    value: elapsedMs > 0 ? ((w.at(-1) ?? 0) - first) / (elapsedMs / 1_000) : undefined,
  };
}

/** E|x| of a normal distribution is this part of its standard deviation: sqrt(2 / pi). */
const meanOfDeviations = 0.797_884_56;
const largestScore = 1e6;

/**
 * How unusual a value is: its distance from an exponentially weighted mean, in standard deviations as the mean of absolute
 * deviations suggests them. What goes into mean and deviation is cut at three deviations, so that an outlier, or a few, do not
 * make themselves usual.
 */
function anomaly(term: Extract<RuleTerm, { kind: 'ANOMALY' }>, state: TermState, facts: Facts): Step {
  const value = numberOf(facts, term.metric);
  if (value === undefined || !facts.changed.has(term.metric)) return { state, value: state.z ?? 0 };
  const { n = 0, m = value, d = 0 } = state;
  const deviation = Math.max(d / meanOfDeviations, 1e-9 + 1e-6 * Math.abs(m));
  const warm = n >= term.warmUp;
  const z = warm ? Math.min(largestScore, Math.abs(value - m) / deviation) : 0;
  const alpha = Math.max(1 - 0.5 ** (1 / term.halfLife), 1 / (n + 1));
  const cut = warm ? m + Math.max(-3 * deviation, Math.min(3 * deviation, value - m)) : value;
  const next = {
    m: m + alpha * (cut - m),
    d: d + alpha * (Math.abs(cut - m) - d),
    n: Math.min(n + 1, 1_000_000),
    z,
  };
  return { state: next, value: z };
}

function numberOf(facts: Facts, metric: string): number | undefined {
  const value = Object.hasOwn(facts.metrics, metric) ? facts.metrics[metric]?.value : undefined;
  return typeof value === 'number' ? value : undefined;
}

function anyOf(names: ReadonlySet<string>, of: ReadonlySet<string>): boolean {
  for (const name of names) if (of.has(name)) return true;
  return false;
}
