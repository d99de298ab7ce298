/** What rules say of a device: each kind of term, and what must hold for any rule and any readings. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileRule } from '../../../backbone/rules/compile.js';
import { readCondition, type RuleConditionInput, type RuleTermInput } from '../../../backbone/rules/condition-input.js';
import { deviceRules, unwatched, watchDevice, type WatchedDevice } from '../../../backbone/rules/watch-device.js';
import type { Value } from '../../../backbone/rules/expression.js';

const second = 1_000;
const start = 1_700_000_000_000;

function ruleOf(condition: RuleConditionInput, ruleId = 'rule') {
  return compileRule({
    ruleId,
    version: 1,
    name: ruleId,
    enabled: true,
    severity: 'WARNING',
    selector: {},
    actions: [],
    condition: readCondition(condition, 'condition'),
  });
}

function fail(_rule: unknown, error: unknown): never {
  throw error;
}

/** A device under one rule; each step goes through JSON, as the database does. Seconds since the start; `+` fired, `-` recovered. */
function watch(condition: RuleConditionInput) {
  const rules = deviceRules([ruleOf(condition)]);
  let device: WatchedDevice = unwatched;
  const log: string[] = [];
  const step = (work: (watching: ReturnType<typeof watchDevice>) => void): void => {
    const watching = watchDevice(device, rules, fail);
    work(watching);
    const result = watching.result();
    device = JSON.parse(JSON.stringify(result.device)) as WatchedDevice;
    for (const { kind, at } of result.transitions) log.push(`${kind === 'fired' ? '+' : '-'}${(at - start) / second}`);
  };
  return {
    log,
    device: () => device,
    hear: (at: number, values: Readonly<Record<string, Value>>) =>
      step((watching) =>
        watching.hear(Object.entries(values).map(([metric, value]) => ({ metric, value, at: start + at * second }))),
      ),
    connect: (at: number, online: boolean, session = at) =>
      step((watching) => watching.connect({ online, session, at: start + at * second })),
    pass: (at: number) => step((watching) => watching.pass(start + at * second)),
  };
}

test('fires when the condition comes true, once, and recovers when it is no longer true', () => {
  const { log, hear } = watch({ when: 't > 80' });
  for (const [at, t] of [
    [1, 70],
    [2, 81],
    [3, 90],
    [4, 80],
    [5, 79],
    [6, 99],
  ] as const)
    hear(at, { t });
  expect(log).toEqual(['+2', '-4', '+6']);
});

test('recovers when clearWhen is true, not before', () => {
  const { log, hear } = watch({ when: 't > 80', clearWhen: 't < 75' });
  for (const [at, t] of [
    [1, 81],
    [2, 79],
    [3, 75],
    [4, 74],
    [5, 79],
  ] as const)
    hear(at, { t });
  expect(log).toEqual(['+1', '-4']);
});

test('a threshold has hysteresis, upwards and downwards', () => {
  const hot = watch({ when: 'x', terms: [{ name: 'x', threshold: { metric: 't', raiseAbove: 80, clearBelow: 75 } }] });
  const cold = watch({ when: 'x', terms: [{ name: 'x', threshold: { metric: 't', raiseBelow: 5, clearAbove: 8 } }] });
  for (const [at, t] of [
    [1, 81],
    [2, 76],
    [3, 74],
    [4, 79],
    [5, 4],
    [6, 7],
    [7, 9],
  ] as const) {
    hot.hear(at, { t });
    cold.hear(at, { t });
  }
  expect(hot.log).toEqual(['+1', '-3']);
  expect(cold.log).toEqual(['+5', '-7']);
});

test('what must hold for a time fires when the time has passed, by the clock or by the next reading, at its own moment', () => {
  const byReading = watch({ when: 't > 80', for: 'PT30S' });
  const byClock = watch({ when: 't > 80', for: 'PT30S' });
  for (const { hear } of [byReading, byClock]) {
    hear(0, { t: 85 });
    hear(10, { t: 70 });
    hear(20, { t: 85 });
    hear(40, { t: 90 });
  }
  byClock.pass(49);
  expect(byClock.log).toEqual([]);
  expect(byClock.device().dueAt).toBe(start + 50 * second);
  byClock.pass(55);
  for (const { hear } of [byReading, byClock]) hear(70, { t: 60 });
  expect(byClock.log).toEqual(['+50', '-70']);
  expect(byReading.log).toEqual(byClock.log);
});

test('"N times within" counts readings for which it is true, in a window that moves, and ends when they are out of it', () => {
  const { log, hear, pass } = watch({
    when: 'often',
    terms: [{ name: 'often', times: { expression: 't > 80', times: 3, within: 'PT1M' } }],
  });
  for (const [at, t] of [
    [0, 90],
    [10, 50],
    [20, 90],
    [70, 90],
    [75, 90],
  ] as const)
    hear(at, { t });
  expect(log).toEqual(['+75']);
  pass(100);
  expect(log).toEqual(['+75', '-80']);
});

test('silence fires after its time, also for a device that never said anything, and ends with a reading', () => {
  const { log, hear, pass } = watch({ when: 'silent', terms: [{ name: 'silent', stale: { after: 'PT1M' } }] });
  hear(0, { t: 1 });
  hear(30, { u: true });
  pass(89);
  expect(log).toEqual([]);
  pass(95);
  hear(100, { t: 1 });
  expect(log).toEqual(['+90', '-100']);
});

test('loss of the connection fires after its time; word of an older session changes nothing', () => {
  const { log, connect, pass } = watch({ when: 'gone', terms: [{ name: 'gone', offline: { after: 'PT10S' } }] });
  connect(0, true, 1);
  connect(5, false, 1);
  connect(6, true, 6);
  connect(7, false, 1);
  pass(30);
  expect(log).toEqual([]);
  connect(40, false, 6);
  pass(60);
  connect(70, true, 70);
  expect(log).toEqual(['+50', '-70']);
});

test('a rate is the change per second over its window', () => {
  const { log, hear } = watch({ when: 'r > 0.5', terms: [{ name: 'r', rate: { metric: 't', over: 'PT20S' } }] });
  for (const [at, t] of [
    [0, 20],
    [10, 24],
    [20, 30.1],
    [30, 34],
    [40, 34],
  ] as const)
    hear(at, { t });
  expect(log).toEqual(['+20', '-30']);
});

test('an anomaly is what is far from what is usual; a few of them do not make it usual', () => {
  const { log, hear } = watch({
    when: 'z > 6',
    terms: [{ name: 'z', anomaly: { metric: 't', halfLife: 50, warmUp: 20 } }],
  });
  for (let at = 0; at < 100; at += 1) hear(at, { t: 20 + Math.sin(at * 2.4) });
  for (let at = 100; at < 105; at += 1) hear(at, { t: 40 });
  hear(105, { t: 20.5 });
  expect(log).toEqual(['+100', '-105']);
});

test('a rule that throws keeps its state and does not keep the others from being asked', () => {
  const rules = deviceRules([ruleOf({ when: 't > 80' }, 'throws'), ruleOf({ when: 'u > 1' }, 'works')]);
  const faults: string[] = [];
  const watching = watchDevice(unwatched, rules, (rule) => faults.push(rule.definition.ruleId));
  watching.hear([
    { metric: 't', at: start, value: 'hot' },
    { metric: 'u', at: start, value: 2 },
  ]);
  expect(faults).toEqual(['throws']);
  expect(watching.result().transitions.map(({ rule }) => rule.definition.ruleId)).toEqual(['works']);
});

test('a condition that was changed keeps that it is raised and forgets the rest', () => {
  const before = watch({ when: 't > 80', for: 'PT10S' });
  before.hear(0, { t: 90 });
  before.hear(20, { t: 90 });
  const watching = watchDevice(before.device(), deviceRules([ruleOf({ when: 't > 95', for: 'PT10S' })]), fail);
  watching.hear([{ metric: 't', at: start + 30 * second, value: 90 }]);
  expect(watching.result().transitions.map(({ kind }) => kind)).toEqual(['recovered']);
});

const terms: readonly RuleTermInput[] = [
  { name: 'hot', threshold: { metric: 't', raiseAbove: 6, clearBelow: 4 } },
  { name: 'long', held: { expression: 't > 5', for: 'PT5S' } },
  { name: 'often', times: { expression: 't > 5', times: 3, within: 'PT8S' } },
  { name: 'silent', stale: { metric: 't', after: 'PT6S' } },
  { name: 'gone', offline: { after: 'PT4S' } },
  { name: 'rising', rate: { metric: 't', over: 'PT10S' } },
  { name: 'odd', anomaly: { metric: 't', halfLife: 5, warmUp: 5 } },
];
const condition = fc.constantFrom<RuleConditionInput>(
  { when: 't > 5' },
  { when: 't > 5', clearWhen: 't < 3' },
  { when: 't > 5', for: 'PT3S' },
  { when: 'hot && u', terms },
  { when: 'long || (often && u)', clearWhen: 't < 2', terms },
  { when: 'silent || gone', for: 'PT2S', terms },
  { when: 'rising > 0.5 || odd > 3', terms },
);
/** What happens to a device, a few seconds after what happened before. */
const happening = fc.record({
  after: fc.integer({ min: 1, max: 9 }),
  what: fc.oneof(
    fc.record({ t: fc.integer({ min: 0, max: 10 }) }),
    fc.record({ t: fc.integer({ min: 0, max: 10 }), u: fc.boolean() }),
    fc.constantFrom('online' as const, 'offline' as const),
  ),
});
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;
const story = fc.array(happening, { maxLength: 40 });

function tell(device: ReturnType<typeof watch>, what: Happening['what'], at: number, session: number) {
  if (typeof what === 'string') device.connect(at, what === 'online', session);
  else device.hear(at, what);
}

test('property: a rule fires and recovers by turns, and time does not run backwards', () => {
  fc.assert(
    fc.property(condition, story, (input, happenings) => {
      const device = watch(input);
      let at = 0;
      for (const { after, what } of happenings) tell(device, what, (at += after), at);
      device.pass(at + 100);
      device.log.forEach((entry, index) => expect(entry.startsWith(index % 2 === 0 ? '+' : '-')).toBe(true));
      const times = device.log.map((entry) => Number(entry.slice(1)));
      expect(times).toEqual([...times].sort((a, b) => a - b));
    }),
  );
});

test('property: what is delivered twice, and a clock that looks more often, change nothing', () => {
  fc.assert(
    fc.property(condition, story, fc.infiniteStream(fc.nat({ max: 8 })), (input, happenings, looks) => {
      const once = watch(input);
      const again = watch(input);
      let at = 0;
      let session = 0;
      const told: (() => void)[] = [];
      const next = (): number => Number(looks.next().value);
      for (const { after, what } of happenings) {
        const look = at + Math.min(after, next());
        again.pass(look);
        at += after;
        if (what === 'online') session = at;
        const [when, of] = [at, session];
        tell(once, what, when, of);
        tell(again, what, when, of);
        told.push(() => tell(again, what, when, of));
        // The last few come once more, as after a crash before the offset was committed.
        const repeated = next();
        for (const repeat of told.slice(-repeated)) repeat();
      }
      once.pass(at + 100);
      again.pass(at + 100);
      expect(again.log).toEqual(once.log);
    }),
  );
});
