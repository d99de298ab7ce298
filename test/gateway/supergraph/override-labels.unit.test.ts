/** Which labels of `@override` are on, by chance and by what asks for them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { drawsOf, labelsThatAreOn } from '../../../gateway/supergraph/override-labels.js';
import { readConfig } from '../../../platform/config/config.js';

const none: ReadonlySet<string> = new Set();
const percentage = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.double({ min: 0, max: 100, noNaN: true }).map((x) => Number(x.toFixed(3))),
);
const labels = fc.uniqueArray(
  fc.oneof(
    percentage.map((x) => `percent(${x})`),
    fc.constantFrom('billing', 'a/b:c.d_e-f'),
  ),
);
const draw = fc.double({ min: 0, max: 100, maxExcluded: true, noNaN: true });

test('a percentage is on for draws below it', () => {
  const all = ['percent(0)', 'percent(12.5)', 'percent(50)', 'percent(100)', 'billing'];
  const on = (overrideDraw: number): readonly string[] => labelsThatAreOn(all, none, { overrideDraw });
  expect(on(0)).toEqual(['percent(12.5)', 'percent(50)', 'percent(100)']);
  expect(on(12.5)).toEqual(['percent(50)', 'percent(100)']);
  expect(on(99.9)).toEqual(['percent(100)']);
});

test('a label that is always on, or asked for, is on whatever chance decides', () => {
  const choice = { overrideDraw: 99, overrideLabels: new Set(['billing', 'unknown']) };
  expect(labelsThatAreOn(['billing', 'percent(1)', 'orders'], new Set(['orders']), choice)).toEqual([
    'billing',
    'orders',
  ]);
});

test('what chance can decide is among the outcomes that are planned in advance, one more than there are percentages', () =>
  fc.assert(
    fc.property(labels, draw, (all, overrideDraw) => {
      const outcomes = drawsOf(all).map((each) => labelsThatAreOn(all, none, { overrideDraw: each }).join());
      expect(outcomes).toContain(labelsThatAreOn(all, none, { overrideDraw }).join());
      expect(outcomes.length).toBeLessThanOrEqual(all.filter((label) => label.startsWith('percent')).length + 1);
      expect(new Set(outcomes).size).toBe(outcomes.length);
    }),
  ));

test('who has a label on for a share has it on for each larger share', () =>
  fc.assert(
    fc.property(percentage, percentage, draw, (one, other, overrideDraw) => {
      const [less, more] = [Math.min(one, other), Math.max(one, other)].map((x) => `percent(${x})`) as [string, string];
      const on = labelsThatAreOn([less, more], none, { overrideDraw });
      if (on.includes(less)) expect(on).toContain(more);
    }),
  ));

test.each(['no spaces please', '1st', 'a,,b', 'percent(x)'])('the setting does not take %j', (value) => {
  expect(() => readConfig({ GATEWAY_OVERRIDE_LABELS: value })).toThrow(/GATEWAY_OVERRIDE_LABELS must be labels/);
});
