import fc from 'fast-check';
import { expect, test } from 'vitest';
import { timeToLiveMs } from '../../../../subgraphs/actions/command/time-to-live.js';

test.each([
  ['PT1S', 1_000],
  ['PT1M', 60_000],
  ['PT1,5S', 1_500],
  ['PT0.5H', 1_800_000],
  ['P1DT1H1M1S', 90_061_000],
  ['P1W', 604_800_000],
  ['P30D', 2_592_000_000],
  ['PT720H', 2_592_000_000],
])('%s is %i ms', (duration, ms) => {
  expect(timeToLiveMs(duration, 'input.timeToLive')).toBe(ms);
});

test.each([
  'PT0S',
  'PT0.999S',
  'P31D',
  'PT2592001S',
  '-PT5M',
  'PT-5M',
  'P1Y',
  'P1M',
  'P',
  'PT',
  'P1DT',
  '',
  '60',
  'PT1S1M',
])('"%s" is refused, with the field', (duration) => {
  expect(() => timeToLiveMs(duration, 'input.timeToLive')).toThrow(
    expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'input.timeToLive' }),
  );
});

test('days, hours, minutes and seconds add up', () => {
  const part = (max: number) => fc.integer({ min: 0, max });
  fc.assert(
    fc.property(part(28), part(23), part(59), fc.integer({ min: 1, max: 59 }), (d, h, m, s) => {
      expect(timeToLiveMs(`P${d}DT${h}H${m}M${s}S`, 'f')).toBe((((d * 24 + h) * 60 + m) * 60 + s) * 1_000);
    }),
  );
});
