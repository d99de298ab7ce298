import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InOrder } from '../../../gateway/subscriptions/in-order.js';

test('results come out in the order in which the work was given, however long each takes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.boolean(), { maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      async (scheduler, work, maxRunning) => {
        const out: number[] = [];
        const ordered = new InOrder<number>({ maxRunning, maxWaiting: 40, deliver: (result) => out.push(result) });
        let running = 0;
        let most = 0;
        for (const [index, isLater] of work.entries()) {
          const given = ordered.add(() => {
            if (!isLater) return index;
            running += 1;
            most = Math.max(most, running);
            return scheduler.schedule(Promise.resolve(index)).then((result) => {
              running -= 1;
              return result;
            });
          });
          expect(given).toBe(true);
        }
        await scheduler.waitFor(ordered.settled());
        expect(out).toEqual(work.map((_isLater, index) => index));
        expect(most).toBeLessThanOrEqual(maxRunning);
      },
    ),
  );
});

test('work beyond the line is refused and not done', async () => {
  const out: number[] = [];
  let release: (result: number) => void = () => undefined;
  const ordered = new InOrder<number>({ maxRunning: 1, maxWaiting: 1, deliver: (result) => out.push(result) });
  expect(ordered.add(() => new Promise((resolve) => (release = resolve)))).toBe(true);
  expect(ordered.add(() => 2)).toBe(true);
  expect(ordered.add(() => 3)).toBe(false);
  release(1);
  await ordered.settled();
  expect(out).toEqual([1, 2]);
});

test('behind a failure nothing comes out, and it is told once', async () => {
  const out: number[] = [];
  const failures: unknown[] = [];
  const ordered = new InOrder<number>({
    maxRunning: 10,
    maxWaiting: 10,
    deliver: (result) => out.push(result),
    failed: (error) => failures.push(error),
  });
  ordered.add(() => 1);
  ordered.add(() => Promise.reject(new Error('broken')));
  ordered.add(() => Promise.reject(new Error('broken, too')));
  ordered.add(() => Promise.resolve(2));
  await expect(ordered.settled()).rejects.toThrow('broken');
  expect(out).toEqual([1]);
  expect(failures).toEqual([new Error('broken')]);
  ordered.add(() => 3);
  expect(out).toEqual([1]);
});
