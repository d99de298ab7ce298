/**
 * Expressions of rules: CEL over the last values of metrics and over terms. What a rule may cost is bounded when it is written:
 * the size and depth of an expression are limited, and it may only call functions whose cost is that of their operands, so
 * no regular expressions (`matches`) and no macros that loop.
 * Numbers of metrics are doubles. As an exception to CEL, arithmetic and equality take an integer beside a double: `t * 2 > 80`.
 */
import { Environment, type ASTNode } from '@marcbachmann/cel-js';
import type { MetricDefinition, Reading } from '../events/catalogue.js';

export const maxExpressionNodes = 100;
const maxDepth = 16;
const maxListElements = 64;
const functions = new Set(['abs', 'size', 'contains', 'startsWith', 'endsWith', 'double', 'int', 'string']);

export type Value = Reading['value'];
export type Kind = MetricDefinition['kind'];

/** What is wrong with an expression: the rest of a sentence that begins with its field. */
export class ExpressionFault extends Error {}

export interface Expression {
  /** Names of the metrics that it looks at. */
  readonly metrics: ReadonlySet<string>;
  /** Names of the terms that it looks at. */
  readonly terms: ReadonlySet<string>;
  /**
   * Whether it is true; undefined as long as it can't be said, because a metric was never heard of.
   * @throws the error of CEL when a value is of a type that the expression can't be asked about.
   */
  holds(valueOf: {
    metric(name: string): Value | undefined;
    term(name: string): TermValue | undefined;
  }): boolean | undefined;
}

export type TermValue = boolean | number;

/** What expressions of a rule may name. */
export interface Vocabulary {
  /** Types of the terms, by name. */
  readonly terms: ReadonlyMap<string, 'bool' | 'double'>;
  /** Kinds of the metrics, by name; undefined if the rule is about devices whose metrics are not declared. */
  readonly metrics?: ReadonlyMap<string, Kind> | undefined;
}

const base = makeBase();
const loose = new Environment({
  unlistedVariablesAreDyn: true,
  limits: { maxAstNodes: maxExpressionNodes, maxDepth, maxListElements, maxMapEntries: 0, maxCallArguments: 4 },
});
const typeOfKind = { NUMBER: 'double', BOOLEAN: 'bool', STRING: 'string' } as const;

/** Compiles an expression that must be true or false. @throws ExpressionFault when it is none, or asks for too much. */
export function compileExpression(text: string, vocabulary: Vocabulary): Expression {
  const names = namesIn(parse(text));
  const terms = new Set([...names.bare].filter((name) => vocabulary.terms.has(name)));
  const bare = [...names.bare].filter((name) => !terms.has(name));
  const metrics = new Set([...bare, ...names.quoted]);
  if (vocabulary.metrics !== undefined)
    for (const metric of metrics)
      if (!vocabulary.metrics.has(metric)) throw new ExpressionFault(unknownMetric(metric, vocabulary));
  const environment = base.clone();
  for (const name of terms) environment.registerVariable(name, vocabulary.terms.get(name) ?? 'dyn');
  for (const name of bare) {
    const kind = vocabulary.metrics?.get(name);
    environment.registerVariable(name, kind === undefined ? 'dyn' : typeOfKind[kind]);
  }
  const { valid, type, error } = environment.check(text);
  if (!valid) throw new ExpressionFault(`is no expression of CEL that fits the metrics: ${summaryOf(error)}`);
  if (type !== 'bool' && type !== 'dyn')
    throw new ExpressionFault(`is of the type ${String(type)}; it must be true or false, e.g. "temperature > 80"`);
  const program = environment.parse(text);
  const { mayDoWithout } = names;
  return {
    metrics,
    terms,
    holds(valueOf) {
      // Without a prototype: a metric may be called "constructor".
      const context = Object.create(null) as Record<string, unknown>;
      let missing = false;
      for (const name of bare) {
        const value = valueOf.metric(name);
        if (value === undefined) missing = true;
        else context[name] = value;
      }
      for (const name of terms) {
        const value = valueOf.term(name);
        if (value === undefined) missing = true;
        else context[name] = value;
      }
      if (names.quoted.size > 0) {
        const quoted = Object.create(null) as Record<string, unknown>;
        for (const name of names.quoted) {
          const value = valueOf.metric(name);
          if (value === undefined) missing = true;
          else quoted[name] = value;
        }
        context['metrics'] = quoted;
      }
      // What misses a value fails in CEL, unless the other side of an "or" decides it; the failure is the slow way to say so.
      if (missing && !mayDoWithout) return undefined;
      if (!missing) return asBoolean(program(context));
      try {
        return asBoolean(program(context));
      } catch {
        return undefined;
      }
    },
  };
}

/** What a metric that is not declared is told with. */
export function unknownMetric(metric: string, { metrics }: Vocabulary): string {
  const known = [...(metrics?.keys() ?? [])].slice(0, 20);
  return `names "${metric}", which the device types of the rule do not all declare as a metric, and which is no term${known.length > 0 ? `; they declare ${known.join(', ')}` : ''}`;
}

function asBoolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new ExpressionFault(`gave ${typeof value} instead of true or false`);
  return value;
}

function parse(text: string): ASTNode {
  try {
    return loose.parse(text).ast;
  } catch (error) {
    throw new ExpressionFault(`is no expression of CEL: ${summaryOf(error)}`, { cause: error });
  }
}

function summaryOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { summary, range } = error as Error & { summary?: string; range?: { start: number } };
  return `${summary ?? error.message}${range === undefined ? '' : ` (at character ${range.start + 1})`}`;
}

interface Names {
  readonly bare: Set<string>;
  /** Named as `metrics["…"]`. */
  readonly quoted: Set<string>;
  /** Whether it may have a value although one of its names has none. */
  mayDoWithout: boolean;
}

/** The names that an expression looks at. @throws ExpressionFault when it calls what it may not. */
function namesIn(root: ASTNode): Names {
  const names: Names = { bare: new Set(), quoted: new Set(), mayDoWithout: false };
  const call = (name: string): void => {
    if (!functions.has(name))
      throw new ExpressionFault(`calls "${name}"; a rule may call ${[...functions].join(', ')}`);
  };
  const visit = (node: ASTNode): void => {
    switch (node.op) {
      case 'value':
        return;
      case 'id':
        if (node.args === 'metrics')
          throw new ExpressionFault('uses "metrics" by itself; name a metric of it, e.g. metrics["engine-speed"]');
        names.bare.add(node.args);
        return;
      case '.':
      case '[]': {
        const [of, key] = node.args;
        const name =
          typeof key === 'string' ? key : key.op === 'value' && typeof key.args === 'string' ? key.args : undefined;
        if (of.op !== 'id' || of.args !== 'metrics' || name === undefined)
          throw new ExpressionFault(
            'looks into something; the only thing to look into is metrics, e.g. metrics["engine-speed"]',
          );
        names.quoted.add(name);
        return;
      }
      case 'call':
        call(node.args[0]);
        node.args[1].forEach(visit);
        return;
      case 'rcall':
        call(node.args[0]);
        visit(node.args[1]);
        node.args[2].forEach(visit);
        return;
      case 'list':
        node.args.forEach(visit);
        return;
      case '!_':
      case '-_':
        visit(node.args);
        return;
      case '||':
      case '&&':
        names.mayDoWithout = true;
        node.args.forEach(visit);
        return;
      case '?:':
        names.mayDoWithout = true;
        node.args.forEach(visit);
        return;
      case 'map':
      case '.?':
      case '[?]':
        throw new ExpressionFault('uses a map or an optional, which rules have no use for');
      default:
        node.args.forEach(visit);
    }
  };
  visit(root);
  return names;
}

function makeBase(): Environment {
  const environment = new Environment({
    limits: { maxAstNodes: maxExpressionNodes, maxDepth, maxListElements, maxMapEntries: 0, maxCallArguments: 4 },
  });
  const arithmetic = {
    '+': (a: number, b: number) => a + b,
    '-': (a: number, b: number) => a - b,
    '*': (a: number, b: number) => a * b,
    '/': (a: number, b: number) => a / b,
  };
  for (const [operator, apply] of Object.entries(arithmetic)) {
    environment.registerOperator(`double ${operator} int`, (a: number, b: bigint) => apply(a, Number(b)));
    environment.registerOperator(`int ${operator} double`, (a: bigint, b: number) => apply(Number(a), b));
  }
  environment.registerOperator('double == int', (a: number, b: bigint) => a === Number(b));
  environment.registerFunction('abs(double): double', (value: number) => Math.abs(value));
  environment.registerVariable('metrics', 'map<string, dyn>');
  return environment;
}
