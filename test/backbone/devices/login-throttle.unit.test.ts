import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLoginThrottle } from '../../../backbone/devices/login-throttle.js';

function throttleAt(start: number, options: { maxDelayMs?: number; maxKeys?: number } = {}) {
  let now = start;
  const throttle = createLoginThrottle({ now: () => now, ...options });
  return {
    throttle,
    pass: (ms: number) => {
      now += ms;
    },
    /** How many of so many attempts get to have their password looked at at once. */
    looked: (count: number, login: (index: number) => { username: string; address: string }) =>
      Array.from({ length: count }, (_unused, index) => throttle.attempt(login(index))).filter(
        (attempt) => attempt?.delayMs === 0,
      ).length,
  };
}

test('guesses that come in parallel are slowed like those that come one by one', () => {
  const { looked, throttle, pass } = throttleAt(0, { maxDelayMs: 0 });
  const guess = { username: 'd', address: 'a' };
  expect(looked(10_000, () => guess)).toBe(20);
  pass(5_000);
  expect(looked(10_000, () => guess)).toBe(1);
  expect(throttle.attempt(guess)).toBeUndefined();
});

test('whoever may wait waits for its turn, each longer than the one before', () => {
  const { throttle } = throttleAt(0, { maxDelayMs: 12_000 });
  const guess = { username: 'd', address: 'a' };
  expect(Array.from({ length: 24 }, () => throttle.attempt(guess)?.delayMs).slice(19)).toEqual([
    ...[0, 5_000, 10_000, undefined, undefined],
  ]);
});

test('right passwords use nothing up, however many devices are behind one address', () => {
  const { throttle, pass } = throttleAt(0, { maxDelayMs: 0 });
  const delays = new Set<number | undefined>();
  for (let index = 0; index < 20_000; index += 1) {
    const attempt = throttle.attempt({ username: `d-${index}`, address: 'nat' });
    delays.add(attempt?.delayMs);
    if (index % 100 === 0) pass(1);
    attempt?.end(true);
  }
  expect([...delays]).toEqual([0]);
});

test('devices with wrong passwords that try for ever do not slow the others at their address', () => {
  const { throttle, pass } = throttleAt(0, { maxDelayMs: 0 });
  for (let second = 0; second < 600; second += 1) {
    for (let broken = 0; broken < 40; broken += 1)
      throttle.attempt({ username: `broken-${broken}`, address: 'nat' })?.end(false);
    const good = throttle.attempt({ username: 'good', address: 'nat' });
    expect(good?.delayMs).toBe(0);
    good?.end(true);
    pass(1_000);
  }
});

test('one address that tries name after name is slowed', () => {
  const { looked, pass } = throttleAt(0, { maxDelayMs: 0 });
  expect(looked(5_000, (index) => ({ username: `n-${index}`, address: 'a' }))).toBe(1_000);
  pass(1_000);
  expect(looked(5_000, (index) => ({ username: `m-${index}`, address: 'a' }))).toBe(50);
});

test('one name that is tried from many addresses is slowed; the device itself gets in from where it was before', () => {
  const { looked, pass, throttle } = throttleAt(0, { maxDelayMs: 0 });
  throttle.attempt({ username: 'd', address: 'home' })?.end(true);
  expect(looked(5_000, (index) => ({ username: 'd', address: `a-${index}` }))).toBe(50);
  expect(throttle.attempt({ username: 'd', address: 'home' })?.delayMs).toBe(0);
  expect(throttle.attempt({ username: 'd', address: 'elsewhere' })).toBeUndefined();
  pass(100);
  expect(throttle.attempt({ username: 'd', address: 'elsewhere' })?.delayMs).toBe(0);
});

test('a device that is known at its address sends many requests at once, until one of them has a wrong password', () => {
  const { looked, throttle } = throttleAt(0, { maxDelayMs: 0 });
  const login = { username: 'd', address: 'home' };
  throttle.attempt(login)?.end(true);
  expect(looked(500, () => login)).toBe(500);
  throttle.attempt(login)?.end(false);
  expect(looked(500, () => login)).toBe(19);
});

test('what could not be checked counts for nothing', () => {
  const { throttle } = throttleAt(0, { maxDelayMs: 0 });
  for (let index = 0; index < 100; index += 1) {
    const attempt = throttle.attempt({ username: 'd', address: 'a' });
    expect(attempt?.delayMs).toBe(0);
    attempt?.end(undefined);
    attempt?.end(undefined);
  }
});

test('property: never more than the burst and what time gives back is looked at, whatever comes when', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2_000 }), { maxLength: 200 }), (gaps) => {
      const { throttle, pass } = throttleAt(1_700_000_000_000, { maxDelayMs: 0, maxKeys: 10 });
      let elapsed = 0;
      let looked = 0;
      for (const gap of gaps) {
        pass(gap);
        elapsed += gap;
        if (throttle.attempt({ username: 'd', address: 'a' })) looked += 1;
        expect(looked).toBeLessThanOrEqual(20 + Math.floor(elapsed / 5_000));
      }
    }),
  );
});

test('it remembers so many names and addresses, and no more', () => {
  const { throttle } = throttleAt(0, { maxDelayMs: 0, maxKeys: 2 });
  const attempt = (username: string) => throttle.attempt({ username, address: username });
  for (let index = 0; index < 20; index += 1) attempt('a');
  expect(attempt('a')).toBeUndefined();
  attempt('b');
  attempt('c');
  expect(attempt('a')?.delayMs).toBe(0);
});
