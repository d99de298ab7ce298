import { expect, test } from 'vitest';
import { readCondition, type RuleTermInput } from '../../../backbone/rules/condition-input.js';
import { compileExpression, type Kind, type Value } from '../../../backbone/rules/expression.js';
import { codeOf } from '../../../platform/errors.js';

const kinds = new Map<string, Kind>([
  ['temperature', 'NUMBER'],
  ['door', 'BOOLEAN'],
  ['mode', 'STRING'],
  ['engine-speed', 'NUMBER'],
]);

function holds(text: string, values: Readonly<Record<string, Value>>, metrics?: ReadonlyMap<string, Kind>) {
  return compileExpression(text, { terms: new Map(), metrics }).holds({
    metric: (name) => (Object.hasOwn(values, name) ? values[name] : undefined),
    term: () => undefined,
  });
}

test.each([
  ['temperature > 80', { temperature: 81 }, true],
  ['temperature > 80', { temperature: 80 }, false],
  ['temperature * 2 == 80', { temperature: 40 }, true],
  ['abs(temperature - 20) > 5', { temperature: 12.5 }, true],
  ['mode in ["eco", "off"] && !door', { mode: 'off', door: false }, true],
  ['mode.startsWith("e")', { mode: 'eco' }, true],
  ['metrics["engine-speed"] > 3000', { 'engine-speed': 3_001 }, true],
  ['door ? temperature > 5 : temperature > 30', { door: true, temperature: 6 }, true],
])('%s of %j is %s, with declared metrics and without', (text, values, expected) => {
  expect(holds(text, values, kinds)).toBe(expected);
  expect(holds(text, values)).toBe(expected);
});

test('what misses a value can not be said, unless the other side decides it', () => {
  expect(holds('temperature > 80', {})).toBeUndefined();
  expect(holds('temperature > 80 || door', { door: true })).toBe(true);
  expect(holds('temperature > 80 || door', { door: false })).toBeUndefined();
  expect(holds('temperature > 80 && door', { door: false })).toBe(false);
  expect(holds('constructor > 3', {})).toBeUndefined();
});

test('a value of another type than the expression asks about is an error of that evaluation', () => {
  expect(() => holds('temperature > 80', { temperature: 'hot' })).toThrow();
});

/** The field and the message that the condition is refused with. */
function refusal(when: string, terms: readonly RuleTermInput[] = [], more: object = {}) {
  try {
    readCondition({ when, terms, ...more }, 'input.condition', kinds);
  } catch (error) {
    expect(codeOf(error)).toBe('BAD_USER_INPUT');
    const { field, message } = error as { field?: string; message: string };
    return `${String(field)}: ${message}`;
  }
  return 'taken';
}

test.each([
  ['temprature > 80', 'input.condition.when: ', 'names "temprature"', 'they declare temperature'],
  ['temperature > ', 'input.condition.when: ', 'no expression of CEL', 'character'],
  ['temperature', 'input.condition.when: ', 'of the type double', 'true or false'],
  ['mode > 3', 'input.condition.when: ', 'no such overload', 'string > int'],
  ['mode.matches("(a+)+$")', 'input.condition.when: ', 'calls "matches"', 'may call'],
  ['[1, 2].exists(i, i > 1)', 'input.condition.when: ', 'calls "exists"', 'may call'],
  ['metrics > 3', 'input.condition.when: ', '"metrics" by itself', 'engine-speed'],
  [`temperature > 1${' && temperature > 1'.repeat(60)}`, 'input.condition.when: ', 'maxAstNodes', '100'],
  [`${'('.repeat(40)}door${')'.repeat(40)}`, 'input.condition.when: ', 'maxDepth', '16'],
])('%s is refused with its field and reason', (when, field, what, more) => {
  const message = refusal(when);
  expect(message).toContain(field);
  expect(message).toContain(what);
  expect(message).toContain(more);
});

test.each<[string, string, RuleTermInput]>([
  ['terms[0].rate.metric', 'a metric of the kind STRING', { name: 't', rate: { metric: 'mode', over: 'PT1M' } }],
  ['terms[0].stale.metric', 'names "speed"', { name: 't', stale: { metric: 'speed', after: 'PT1M' } }],
  ['terms[0].name', 'as a metric is', { name: 'door', stale: { after: 'PT1M' } }],
  ['terms[0].name', 'must be 1 to 64 letters', { name: '1st', stale: { after: 'PT1M' } }],
  ['terms[0].stale.after', 'no length of time', { name: 't', stale: { after: 'P1M' } }],
  ['terms[0].stale.after', 'longer than 30 days', { name: 't', stale: { after: 'P31D' } }],
  ['terms[0]', 'exactly one of', { name: 't' }],
  ['terms[0]', 'it has stale and offline', { name: 't', stale: { after: 'PT1M' }, offline: { after: 'PT1M' } }],
  [
    'terms[0].threshold',
    'must not be above',
    { name: 't', threshold: { metric: 'temperature', raiseAbove: 80, clearBelow: 90 } },
  ],
  [
    'terms[0].threshold',
    '"raiseAbove" with "clearBelow"',
    { name: 't', threshold: { metric: 'temperature', clearBelow: 90 } },
  ],
  ['terms[0].held.expression', 'names "u"', { name: 't', held: { expression: 'u', for: 'PT1M' } }],
  ['terms[0].times.times', 'at least 1', { name: 't', times: { expression: 'door', times: 0, within: 'PT1M' } }],
  ['terms[0].anomaly.warmUp', 'from 2 to', { name: 't', anomaly: { metric: 'temperature', warmUp: 1 } }],
])('a term is refused at %s: %s', (field, what, term) => {
  const message = refusal('door', [term]);
  expect(message).toContain(`input.condition.${field}: `);
  expect(message).toContain(what);
});

test('a term may use those before it, and none behind it', () => {
  const hot: RuleTermInput = { name: 'hot', threshold: { metric: 'temperature', raiseAbove: 80, clearBelow: 75 } };
  const long: RuleTermInput = { name: 'long', held: { expression: 'hot', for: 'PT30S' } };
  expect(refusal('long || door', [hot, long])).toBe('taken');
  expect(refusal('long || door', [long, hot])).toContain('input.condition.terms[0].held.expression');
});
