/** What an outage writes: a line when it begins, one a minute, one when it ends, however often it fails. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createOutageLog, type OutageLogOptions } from '../../../platform/observability/outage-log.js';
import { manualClock } from './manual-clock.js';

interface Line {
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly at: number;
}

function startLog(options: Partial<OutageLogOptions> = {}) {
  const clock = manualClock();
  const lines: Line[] = [];
  const warn = (fields: Line['fields'], text: string): void => void lines.push({ text, fields, at: clock.now() });
  const log = { warn } as unknown as OutageLogOptions['log'];
  return { clock, lines, outages: createOutageLog({ log, event: 'subgraph does not answer', clock, ...options }) };
}

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });

test('an outage has a line with the reason, one a minute with the count, and one at its end', () => {
  const { clock, lines, outages } = startLog();
  for (let second = 0; second < 150; second += 1) {
    for (let n = 0; n < 10; n += 1) outages.failed('a', refused, { subgraph: 'a' });
    clock.advance(1_000);
  }
  outages.succeeded('a');
  clock.advance(20_000);
  expect(lines).toMatchObject([
    { text: 'subgraph does not answer', fields: { subgraph: 'a', code: 'ECONNREFUSED', reason: refused.message } },
    { text: 'subgraph does not answer: still', fields: { failures: 600 } },
    { text: 'subgraph does not answer: still', fields: { failures: 1_200 } },
    { text: 'subgraph does not answer: over', fields: { subgraph: 'a', failures: 1_500, lastedMs: 149_000 } },
  ]);
  expect(lines.every(({ fields }) => fields['err'] === undefined && fields['stack'] === undefined)).toBe(true);
  expect(clock.timers).toBe(0);
});

test('a source that succeeds now and then is one outage, until it has not failed for a while', () => {
  const { clock, lines, outages } = startLog();
  for (let n = 0; n < 290; n += 1) {
    outages.failed('a', refused);
    outages.succeeded('a');
    clock.advance(1_000);
  }
  expect(lines.map(({ text }) => text.split(': ')[1])).toEqual([undefined, 'still', 'still', 'still', 'still']);
  clock.advance(10_000);
  expect(lines.at(-1)).toMatchObject({ text: 'subgraph does not answer: over', fields: { failures: 290 } });
});

test('what nobody asks any more is not said to be over', () => {
  const { clock, lines, outages } = startLog();
  outages.failed('a', refused);
  clock.advance(3_600_000);
  expect(lines).toHaveLength(1);
  outages.succeeded('a');
  clock.advance(1_000);
  expect(lines.at(-1)).toMatchObject({ text: 'subgraph does not answer: over', fields: { failures: 1, lastedMs: 0 } });
});

test('each key has its own lines, and those beyond the bound share some', () => {
  const { clock, lines, outages } = startLog({ maxKeys: 2 });
  for (let n = 0; n < 1_000; n += 1) outages.failed(`key-${n}`, refused, { n });
  expect(lines.map(({ fields }) => [fields['n'], fields['key']])).toEqual([
    [0, undefined],
    [1, undefined],
    [2, 'others'],
  ]);
  clock.advance(10_000);
  expect(lines.at(-1)).toMatchObject({ text: 'subgraph does not answer: over', fields: { failures: 998, n: 999 } });
});

test('the cause of an error and an error without a message have a reason', () => {
  const { lines, outages } = startLog();
  outages.failed('a', new Error('fetch failed', { cause: new Error('other side closed') }));
  outages.failed('b', Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }));
  expect(lines.map(({ fields }) => fields['reason'])).toEqual(['fetch failed (other side closed)', 'ECONNREFUSED']);
});

test('whatever happens, an outage has at most two lines and one a minute, and its last line counts every failure', () => {
  const step = fc.record({
    what: fc.constantFrom('failed', 'succeeded', 'nothing'),
    times: fc.integer({ min: 1, max: 50 }),
    thenMs: fc.integer({ min: 0, max: 40_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { clock, lines, outages } = startLog();
      let failed = 0;
      for (const { what, times, thenMs } of steps) {
        for (let n = 0; n < times; n += 1) {
          if (what === 'failed') outages.failed('a', refused);
          if (what === 'succeeded') outages.succeeded('a');
        }
        if (what === 'failed') failed += times;
        clock.advance(thenMs);
      }
      outages.succeeded('a');
      clock.advance(30_000);
      const episodes: Line[][] = [];
      for (const line of lines) {
        if (line.text === 'subgraph does not answer') episodes.push([]);
        episodes.at(-1)?.push(line);
      }
      let counted = 0;
      for (const episode of episodes) {
        const [first, last] = [episode[0], episode.at(-1)];
        const minutes = Math.floor(((last?.at ?? 0) - (first?.at ?? 0)) / 60_000);
        expect(episode.length).toBeLessThanOrEqual(2 + minutes);
        expect(last?.text).toBe('subgraph does not answer: over');
        counted += Number(last?.fields['failures']);
      }
      expect(counted).toBe(failed);
      expect(clock.timers).toBe(0);
    }),
  );
});
