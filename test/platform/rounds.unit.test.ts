import { expect, test } from 'vitest';
import { startRounds } from '../../platform/lifecycle/rounds.js';
import { silentLog } from '../world/database.js';
import { eventually, within } from '../world/eventually.js';

const hourMs = 3_600_000;

test('rounds follow each other as they say, and a wake ends the sleep between them', async () => {
  let count = 0;
  const rounds = startRounds({
    log: silentLog,
    failing: 'Nothing is done',
    round: async () => ((count += 1) < 3 ? 0 : hourMs),
  });
  await eventually(() => expect(count).toBe(3));
  rounds.wake();
  await eventually(() => expect(count).toBe(4));
  await rounds.ready();
  await within(rounds.stop(), 5_000, 'the stop');
});

test('a wake in the middle of a round is not missed: another follows', async () => {
  let count = 0;
  const rounds = startRounds({
    log: silentLog,
    failing: 'Nothing is done',
    async round() {
      count += 1;
      if (count === 1) rounds.wake();
      return hourMs;
    },
  });
  await eventually(() => expect(count).toBe(2));
  await rounds.stop();
});

test('a failure is what it is not ready for, is tried again, and forgotten when a round succeeds', async () => {
  let isBroken = true;
  let tries = 0;
  const rounds = startRounds({
    log: silentLog,
    failing: "Things can't be done",
    backoff: { firstMs: 1, longestMs: 1 },
    async round() {
      tries += 1;
      if (isBroken) throw new Error('the wheel is off');
      return hourMs;
    },
  });
  await eventually(() => expect(tries).toBeGreaterThan(2));
  await expect(rounds.ready()).rejects.toThrow("Things can't be done: the wheel is off");
  isBroken = false;
  await eventually(() => rounds.ready());
  await rounds.stop();
});

test('who is woken all the time does not try all the time what fails', async () => {
  let tries = 0;
  const rounds = startRounds({
    log: silentLog,
    failing: "Things can't be done",
    backoff: { firstMs: hourMs, longestMs: hourMs },
    async round() {
      tries += 1;
      throw new Error('the wheel is off');
    },
  });
  await eventually(() => expect(tries).toBeGreaterThan(0));
  const triesBefore = tries;
  for (let wakes = 0; wakes < 100; wakes += 1) {
    rounds.wake();
    await new Promise(setImmediate);
  }
  expect(tries).toBe(triesBefore);
  await within(rounds.stop(), 5_000, 'the stop');
});

test('a stop waits for the round in hand, tells it, and begins no other', async () => {
  let count = 0;
  let hasEnded = false;
  const rounds = startRounds({
    log: silentLog,
    failing: 'Nothing is done',
    async round(stopped) {
      count += 1;
      await new Promise((resolve) => stopped.addEventListener('abort', resolve));
      hasEnded = true;
      return 0;
    },
  });
  await eventually(() => expect(count).toBe(1));
  await rounds.stop();
  expect(hasEnded).toBe(true);
  expect(count).toBe(1);
});
