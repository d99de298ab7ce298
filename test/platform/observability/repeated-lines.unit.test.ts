/** What the log writes of lines that repeat themselves: each distinct fault once a minute, with its count. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLogger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import { createRepeatedLines } from '../../../platform/observability/repeated-lines.js';
import { manualClock } from './manual-clock.js';

type Line = Readonly<Record<string, unknown>> & { readonly msg: string; readonly repeated?: number };

function startLogger(maxKeys?: number) {
  const clock = manualClock();
  const lines: Line[] = [];
  const log = createLogger({
    level: 'debug',
    pretty: false,
    bindings: { worker: 2 },
    destination: { write: (text: string) => void lines.push(JSON.parse(text) as Line) },
    repeatedLines: createRepeatedLines({ clock, ...(maxKeys === undefined ? {} : { maxKeys }) }),
  });
  return { clock, lines, log };
}

test('a warning that every device causes is one line a minute, with the count of those that it stands for', () => {
  const { clock, lines, log } = startLogger();
  for (let n = 0; n < 1_000; n += 1) log.warn({ deviceId: `device-${n}` }, 'a device was denied');
  expect(lines).toMatchObject([{ worker: 2, msg: 'a device was denied', deviceId: 'device-0' }]);
  clock.advance(60_000);
  expect(lines[1]).toMatchObject({ msg: 'a device was denied', deviceId: 'device-999', repeated: 999 });
  clock.advance(120_000);
  expect(lines).toHaveLength(2);
  expect(clock.timers).toBe(0);
  log.warn({ deviceId: 'device-0' }, 'a device was denied');
  expect(lines).toHaveLength(3);
});

test('each distinct fault has its line with its stack, whatever differs from request to request', () => {
  const { lines, log } = startLogger();
  const absent = (device: number): Error => new Error(`Device "d-${device}" has 2 names`);
  const other = (): Error => new TypeError('x is not a function');
  for (let n = 0; n < 50; n += 1) {
    log.error({ err: absent(n), path: ['device', n] }, 'resolver failed');
    log.error({ err: other() }, 'resolver failed');
    log.error({ err: other() }, 'request failed');
  }
  expect(lines.map(({ msg, err }) => [msg, (err as { type: string; stack: string }).type])).toEqual([
    ['resolver failed', 'Error'],
    ['resolver failed', 'TypeError'],
    ['request failed', 'TypeError'],
  ]);
  expect(lines.every(({ err }) => (err as { stack: string }).stack.includes('repeated-lines.unit.test'))).toBe(true);
});

test('the same text of two parts, or about two parts, is two lines', () => {
  const { lines, log } = startLogger();
  for (const child of [log.child({ role: 'device' }), log.child({ role: 'query' })]) {
    for (const consumer of ['one', 'other', 'one']) child.warn({ consumer }, 'consumer is blocked');
  }
  expect(lines.map(({ role, consumer }) => [role, consumer])).toEqual([
    ['device', 'one'],
    ['device', 'other'],
    ['query', 'one'],
    ['query', 'other'],
  ]);
});

test('lines of other levels, and those of an outage, are written as they are', () => {
  const { clock, lines, log } = startLogger();
  for (let n = 0; n < 3; n += 1) {
    log.info({ n }, 'started');
    log.debug('looked');
    log.fatal('ended');
  }
  expect(lines).toHaveLength(9);
  const outages = createOutageLog({ log, event: 'away', clock, quietMs: 0 });
  for (let n = 0; n < 3; n += 1) {
    outages.failed('a', new Error('gone'));
    outages.succeeded('a');
    clock.advance(1_000);
  }
  expect(lines.slice(9).map(({ msg }) => msg)).toEqual([
    'away',
    'away: over',
    'away',
    'away: over',
    'away',
    'away: over',
  ]);
});

test('what is logged keeps its form: an error alone, a text alone, secrets left out', () => {
  const { lines, log } = startLogger();
  log.error(new Error('alone'));
  log.warn('text alone');
  log.warn({ password: 'secret' }, 'with a secret');
  expect(lines).toMatchObject([
    { msg: 'alone', err: { message: 'alone' } },
    { msg: 'text alone' },
    { msg: 'with a secret', password: '[redacted]' },
  ]);
});

test('the lines add up to those that were asked for, whatever comes when, and their number is bounded', () => {
  const step = fc.record({ text: fc.integer({ min: 0, max: 9 }), times: fc.nat(20), thenMs: fc.nat(30_000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), fc.integer({ min: 1, max: 12 }), (steps, maxKeys) => {
      const { clock, lines, log } = startLogger(maxKeys);
      let asked = 0;
      for (const { text, times, thenMs } of steps) {
        for (let n = 0; n < times; n += 1) log.warn(`text ${text}`);
        asked += times;
        clock.advance(thenMs);
      }
      const minutes = Math.ceil(clock.now() / 60_000);
      clock.advance(61_000);
      expect(lines.reduce((sum, { repeated = 1 }) => sum + repeated, 0)).toBe(asked);
      expect(lines.length).toBeLessThanOrEqual((maxKeys + 1) * (minutes + 2));
    }),
  );
});
