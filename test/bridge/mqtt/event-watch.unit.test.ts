import { expect, test } from 'vitest';
import { createEventWatch } from '../../../bridge/mqtt/broker-events.js';
import { within } from '../../world/eventually.js';

const never = 1_000_000;

test('who asks early waits for the first that the broker tells', async () => {
  const watch = createEventWatch(never);
  const asked = [watch.tells(), watch.tells()];
  expect(watch.hasTold()).toBe(false);
  watch.heard();
  expect(await within(Promise.all(asked), 1_000, 'the answer')).toEqual([true, true]);
  expect(watch.hasTold()).toBe(true);
  watch.heard();
  expect(await watch.tells()).toBe(true);
});

test('a broker that is silent for long enough tells nothing, until it does', async () => {
  const watch = createEventWatch(1);
  expect(await watch.tells()).toBe(false);
  expect(await watch.tells()).toBe(false);
  watch.heard();
  expect(await watch.tells()).toBe(true);
});

test('one that has told before anybody asks is not waited for', async () => {
  const watch = createEventWatch(never);
  watch.heard();
  expect(await within(watch.tells(), 1_000, 'the answer')).toBe(true);
});
