/**
 * From a condition as it was written to one that can be asked. What is wrong with it is said here, once, with its field; what
 * has passed can be evaluated without surprises but one: a device that sends a value of another type than it should.
 */
import { createHash } from 'node:crypto';
import type { RuleCondition, RuleDefinition, RuleTerm } from './definition.js';
import {
  compileExpression,
  ExpressionFault,
  unknownMetric,
  type Expression,
  type Kind,
  type Vocabulary,
} from './expression.js';
import type { CompiledTerm } from './terms.js';

export const maxTerms = 16;
/** The longest time that a term may look back or wait. */
export const longestMs = 30 * 86_400_000;
const maxTimes = 1_000;

/** A field of the condition and what is wrong with it, as the rest of a sentence. */
export class ConditionFault extends Error {
  constructor(
    readonly field: string,
    readonly fault: string,
  ) {
    super(`${field} ${fault}`);
  }
}

export interface CompiledCondition {
  readonly when: Expression;
  readonly clearWhen: Expression | undefined;
  readonly forMs: number | undefined;
  readonly terms: readonly CompiledTerm[];
  /** Metrics whose readings change it. */
  readonly metrics: ReadonlySet<string>;
  /** Whether a reading of any metric does. */
  readonly hearsAll: boolean;
  readonly hearsPresence: boolean;
  /** Whether it may change by the passing of time alone. */
  readonly waits: boolean;
}

export interface CompiledRule extends CompiledCondition {
  readonly definition: RuleDefinition;
  /** Names the condition: state that was made by another one is forgotten. */
  readonly fingerprint: string;
}

/** @throws ConditionFault with the field at fault, below the condition, e.g. `terms[2].metric`. */
export function compileCondition(condition: RuleCondition, metrics?: ReadonlyMap<string, Kind>): CompiledCondition {
  if (condition.terms.length > maxTerms) throw new ConditionFault('terms', `are more than ${maxTerms}`);
  const terms = new Map<string, 'bool' | 'double'>();
  const vocabulary: Vocabulary = { terms, metrics };
  const compiled = condition.terms.map((term, index): CompiledTerm => {
    const field = `terms[${index}]`;
    checkTerm(term, field, vocabulary);
    // A term may be made of those before it, so nothing goes round in circles.
    const expression =
      'expression' in term
        ? compileAt(`${field}.${term.kind.toLowerCase()}.expression`, term.expression, vocabulary)
        : undefined;
    terms.set(term.name, term.kind === 'RATE' || term.kind === 'ANOMALY' ? 'double' : 'bool');
    return { term, expression };
  });
  const when = compileAt('when', condition.when, vocabulary);
  const clearWhen =
    condition.clearWhen === undefined ? undefined : compileAt('clearWhen', condition.clearWhen, vocabulary);
  if (condition.forMs !== undefined && condition.forMs > longestMs) throw tooLong('for');
  const expressions = [when, clearWhen, ...compiled.map(({ expression }) => expression)];
  return {
    when,
    clearWhen,
    forMs: condition.forMs,
    terms: compiled,
    metrics: new Set([
      ...expressions.flatMap((expression) => [...(expression?.metrics ?? [])]),
      ...condition.terms.flatMap((term) => ('metric' in term && term.metric !== undefined ? [term.metric] : [])),
    ]),
    hearsAll: condition.terms.some((term) => term.kind === 'STALE' && term.metric === undefined),
    hearsPresence: condition.terms.some(({ kind }) => kind === 'OFFLINE'),
    waits: condition.forMs !== undefined || condition.terms.some(({ kind }) => waiting.has(kind)),
  };
}

const waiting = new Set<RuleTerm['kind']>(['HELD', 'TIMES', 'STALE', 'OFFLINE']);

/** A rule that was checked when it was written. @throws ConditionFault, for a rule that this version can't evaluate. */
export function compileRule(definition: RuleDefinition): CompiledRule {
  return {
    ...compileCondition(definition.condition),
    definition,
    fingerprint: createHash('sha256').update(JSON.stringify(definition.condition)).digest('base64url').slice(0, 12),
  };
}

function compileAt(field: string, text: string, vocabulary: Vocabulary): Expression {
  try {
    return compileExpression(text, vocabulary);
  } catch (error) {
    if (error instanceof ExpressionFault) throw new ConditionFault(field, error.message);
    throw error;
  }
}

function checkTerm(term: RuleTerm, field: string, vocabulary: Vocabulary): void {
  if (term.name === 'metrics' || reserved.has(term.name))
    throw new ConditionFault(`${field}.name`, `is "${term.name}", a word of CEL`);
  if (vocabulary.terms.has(term.name))
    throw new ConditionFault(`${field}.name`, `is "${term.name}", as another term is`);
  if (vocabulary.metrics?.has(term.name) === true)
    throw new ConditionFault(`${field}.name`, `is "${term.name}", as a metric is`);
  if ('metric' in term && term.metric !== undefined && vocabulary.metrics !== undefined) {
    const kind = vocabulary.metrics.get(term.metric);
    if (kind === undefined)
      throw new ConditionFault(`${field}.${term.kind.toLowerCase()}.metric`, unknownMetric(term.metric, vocabulary));
    if (kind !== 'NUMBER' && term.kind !== 'STALE')
      throw new ConditionFault(
        `${field}.${term.kind.toLowerCase()}.metric`,
        `is "${term.metric}", a metric of the kind ${kind}; it must be a NUMBER`,
      );
  }
  switch (term.kind) {
    case 'THRESHOLD': {
      const isBehind = term.direction === 'ABOVE' ? term.clear <= term.raise : term.clear >= term.raise;
      if (!isBehind)
        throw new ConditionFault(
          `${field}.threshold`,
          `would clear at ${term.clear} what it raises at ${term.raise}; the value to clear at must not be ${term.direction === 'ABOVE' ? 'above' : 'below'} it`,
        );
      return;
    }
    case 'TIMES':
      if (term.times > maxTimes)
        throw new ConditionFault(`${field}.times.times`, `is ${term.times}; at most ${maxTimes} are counted`);
      if (term.withinMs > longestMs) throw tooLong(`${field}.times.within`);
      return;
    case 'HELD':
      if (term.forMs > longestMs) throw tooLong(`${field}.held.for`);
      return;
    case 'STALE':
    case 'OFFLINE':
      if (term.afterMs > longestMs) throw tooLong(`${field}.${term.kind.toLowerCase()}.after`);
      return;
    case 'RATE':
      if (term.overMs > longestMs) throw tooLong(`${field}.rate.over`);
      return;
    case 'ANOMALY':
      return;
  }
}

/** Names that CEL keeps for itself. */
const reserved = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

function tooLong(field: string): ConditionFault {
  return new ConditionFault(field, 'is longer than 30 days (P30D)');
}
