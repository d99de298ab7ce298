import { expect, test } from 'vitest';
import { createBell } from '../../../../backbone/bus/postgres/bell.js';
import { within } from '../../../world/eventually.js';

const never = new AbortController().signal;
const long = 60_000;

test('a bell that was rung before the wait is not waited for, once', async () => {
  const bell = createBell();
  bell.ring();
  bell.ring();
  await within(bell.wait(long, never), 1_000, 'a wait for a bell that was rung');
  await expect(within(bell.wait(long, never), 30, 'the second wait')).rejects.toThrow('the second wait');
});

test('a bell wakes its waiter when it is rung, when the time is over and when the signal is aborted', async () => {
  const bell = createBell();
  const rung = bell.wait(long, never);
  bell.ring();
  await within(rung, 1_000, 'a wait that is rung');
  await within(bell.wait(5, never), 1_000, 'a wait of 5 ms');
  const stop = new AbortController();
  const stopped = bell.wait(long, stop.signal);
  stop.abort();
  await within(stopped, 1_000, 'a wait that is aborted');
  await within(bell.wait(long, stop.signal), 1_000, 'a wait that was aborted before');
});
