/**
 * One rule about one device, as a pure function from state to state. Everything that asks rules goes through it: the
 * orchestrator for each reading, and the test of a rule against history.
 * Invariant: a rule fires only when it is not raised and recovers only when it is, so along a device the two alternate;
 * time never runs backwards from step to step.
 */
import type { CompiledRule } from './compile.js';
import type { Expression, TermValue } from './expression.js';
import { passed, stepTerm, type Facts, type TermState } from './terms.js';

/** Plain JSON; there is one for each rule and device where there is something to remember. */
export interface RuleState {
  /** The condition that made it. */
  readonly v: string;
  /** Raised: it has fired and not recovered. */
  readonly r?: boolean;
  /** Since when it would fire, but for the time that it must hold. */
  readonly s?: number;
  /** The terms, by their place. */
  readonly t?: readonly TermState[];
}

export interface Outcome {
  /** Undefined: there is nothing to remember. */
  readonly state: RuleState | undefined;
  readonly transition: 'fired' | 'recovered' | undefined;
  /** When to ask again if nothing is heard until then. */
  readonly dueAt: number | undefined;
}

/** Asks the rule. @throws what an expression throws when a value is of a type that it can't be asked about. */
export function evaluateRule(rule: CompiledRule, before: RuleState | undefined, facts: Facts): Outcome {
  const known = before?.v === rule.fingerprint ? before : undefined;
  const wasRaised = before?.r === true;
  const values = new Map<string, TermValue | undefined>();
  const source = {
    metric: (name: string) => (Object.hasOwn(facts.metrics, name) ? facts.metrics[name]?.value : undefined),
    term: (name: string) => values.get(name),
  };
  const ask = (expression: Expression): boolean | undefined => expression.holds(source);
  let dueAt: number | undefined;
  const wait = (until: number | undefined): void => {
    if (until !== undefined && (dueAt === undefined || until < dueAt)) dueAt = until;
  };

  const t = rule.terms.map((compiled, index) => {
    const step = stepTerm(compiled, known?.t?.[index] ?? {}, facts, ask);
    values.set(compiled.term.name, step.value);
    wait(step.dueAt);
    return step.state;
  });
  const holds = ask(rule.when);
  let ready = holds === true;
  let s: number | undefined;
  if (rule.forMs !== undefined && holds === true && !wasRaised) {
    s = known?.s ?? facts.at;
    const held = passed(s, facts.at, rule.forMs);
    ready = held.value;
    wait(held.dueAt);
  }
  const isOver = rule.clearWhen === undefined ? holds === false : holds !== true && ask(rule.clearWhen) === true;
  const r = wasRaised ? !isOver : ready;
  return {
    state: stateOf(rule, r, r ? undefined : s, t),
    transition: r === wasRaised ? undefined : r ? 'fired' : 'recovered',
    dueAt,
  };
}

function stateOf(
  rule: CompiledRule,
  r: boolean,
  s: number | undefined,
  t: readonly TermState[],
): RuleState | undefined {
  const remembers = t.some((state) => Object.keys(state).length > 0);
  if (!r && s === undefined && !remembers) return undefined;
  return {
    v: rule.fingerprint,
    ...(r ? { r } : {}),
    ...(s === undefined ? {} : { s }),
    ...(remembers ? { t } : {}),
  };
}
