import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Alert } from '../../../../subgraphs/actions/alert/alert.js';
import {
  calmMs,
  decide,
  evolve,
  flapLimit,
  type AlertFact,
  type AlertInput,
} from '../../../../subgraphs/actions/alert/life-cycle.js';

const start = 1_700_000_000_000;
const minute = 60_000;

/** Everything that follows from the inputs, and the last alert after them. */
function run(inputs: readonly AlertInput[]): { facts: AlertFact[]; alert: Alert | undefined } {
  let alert: Alert | undefined;
  const facts: AlertFact[] = [];
  for (const input of inputs)
    for (const fact of decide(alert, input)) {
      facts.push(fact);
      alert = evolve(alert, fact);
    }
  return { facts, alert };
}

let ids = 0;
const fired = (minutes: number): AlertInput => ({
  kind: 'fired',
  atMs: start + minutes * minute,
  tenant: 'acme',
  alertId: `alert-${(ids += 1)}`,
  ruleId: 'rule',
  ruleName: 'Hot',
  deviceId: 'device',
  severity: 'WARNING',
  readings: [],
  actions: [],
});
const recovered = (minutes: number): AlertInput => ({
  kind: 'recovered',
  atMs: start + minutes * minute,
  cause: 'CONDITION',
});
const kinds = (facts: readonly AlertFact[]) => facts.map(({ type }) => type.split('.')[3]);

test('a rule raises one alert, adds to it while it is active, and clears it', () => {
  const { facts, alert } = run([fired(0), fired(1), recovered(2), fired(100)]);
  expect(kinds(facts)).toEqual(['raised', 'repeated', 'cleared', 'raised']);
  expect(facts[2]?.data).toMatchObject({ count: 2, cause: 'CONDITION' });
  expect(alert).toMatchObject({ status: 'ACTIVE', count: 1, revision: 1 });
});

test('one that flaps is held until its rule has been calm; firing again meanwhile keeps it', () => {
  const flapping = [
    fired(0),
    recovered(0.5),
    fired(1),
    recovered(1.5),
    fired(2),
    recovered(2.5),
    fired(3),
    recovered(3.5),
  ];
  const held = run(flapping);
  expect(kinds(held.facts).slice(-2)).toEqual(['raised', 'held']);
  expect(held.alert?.heldUntil?.getTime()).toBe(start + 3.5 * minute + calmMs);
  const again = run([...flapping, fired(4), recovered(4.5), { kind: 'tick', atMs: start + 9 * minute }]);
  expect(kinds(again.facts).slice(-3)).toEqual(['held', 'repeated', 'held']);
  expect(again.alert).toMatchObject({ status: 'ACTIVE', count: 2 });
  const calm = run([...flapping, { kind: 'tick', atMs: start + 9 * minute }]);
  expect(calm.alert).toMatchObject({ status: 'CLEARED', clearCause: 'CONDITION' });
});

test('a rule that is deleted clears its alert, held or not', () => {
  const { alert } = run([fired(0), { kind: 'recovered', atMs: start + 1, cause: 'RULE_DELETED' }]);
  expect(alert).toMatchObject({ status: 'CLEARED', clearCause: 'RULE_DELETED' });
});

test('who acknowledged first stays named; what is said stays on it', () => {
  const { alert } = run([
    fired(0),
    { kind: 'acknowledge', atMs: start + 1, by: 'ann', comment: 'on my way' },
    { kind: 'acknowledge', atMs: start + 2, by: 'bob' },
    { kind: 'comment', atMs: start + 3, by: 'bob', text: 'valve' },
    { kind: 'clear', atMs: start + 4, by: 'ann' },
    { kind: 'comment', atMs: start + 5, by: 'ann', text: 'done' },
  ]);
  expect(alert).toMatchObject({ status: 'CLEARED', acknowledgedBy: 'ann', clearedBy: 'ann', clearCause: 'BY_HAND' });
  expect(alert?.comments.map(({ by, text }) => `${by}: ${text}`)).toEqual([
    'ann: on my way',
    'bob: valve',
    'ann: done',
  ]);
});

const anyInput = fc.oneof(
  fc.constant('fired' as const),
  fc.constant('recovered' as const),
  fc.constant('deleted' as const),
  fc.constant('acknowledge' as const),
  fc.constant('clear' as const),
  fc.constant('tick' as const),
);
const inputs = fc.array(fc.tuple(anyInput, fc.integer({ min: 0, max: 8 * minute })), { maxLength: 60 });

function inputOf(kind: typeof anyInput extends fc.Arbitrary<infer T> ? T : never, atMs: number): AlertInput {
  switch (kind) {
    case 'fired':
      return { ...fired(0), kind, atMs } as AlertInput;
    case 'recovered':
      return { kind, atMs, cause: 'CONDITION' };
    case 'deleted':
      return { kind: 'recovered', atMs, cause: 'RULE_DELETED' };
    case 'acknowledge':
    case 'clear':
      return { kind, atMs, by: 'ann' };
    case 'tick':
      return { kind, atMs };
  }
}

test('property: alerts of a rule and device come one after the other, each raised once and ended at most once', () => {
  fc.assert(
    fc.property(inputs, (steps) => {
      let atMs = start;
      const { facts, alert } = run(steps.map(([kind, afterMs]) => inputOf(kind, (atMs += afterMs))));
      let open: string | undefined;
      const seen = new Set<string>();
      for (const { type, data } of facts) {
        if (type === 'io.fleetgraph.alert.raised.v1') {
          expect(open).toBeUndefined();
          expect(seen.has(data.alertId)).toBe(false);
          seen.add(data.alertId);
          open = data.alertId;
        } else if (type === 'io.fleetgraph.alert.acknowledged.v1') expect(seen.has(data.alertId)).toBe(true);
        else expect(data.alertId).toBe(open);
        if (type === 'io.fleetgraph.alert.cleared.v1') open = undefined;
      }
      expect(alert?.status === 'ACTIVE').toBe(open !== undefined);
    }),
  );
});

test('property: whatever flaps, whoever acts on alerts hears at most some of it', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 20, maxLength: 60 }), (pauses) => {
      let atMs = start;
      const steps = pauses.map((seconds, index) =>
        inputOf(index % 2 === 0 ? 'fired' : 'recovered', (atMs += seconds * 1_000)),
      );
      // All of it lies within the window but for the very last, at most.
      const { facts } = run(steps.slice(0, 28));
      expect(kinds(facts).filter((kind) => kind === 'raised').length).toBeLessThanOrEqual(flapLimit + 1);
    }),
  );
});
