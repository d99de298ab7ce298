import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inOrder } from '../../../gateway/subscriptions/in-order.js';

test('results come out in the order in which they were begun, however long each takes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.boolean(), { maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      async (scheduler, work, max) => {
        const out: number[] = [];
        const ordered = inOrder<number>(max, (result) => out.push(result));
        let running = 0;
        let most = 0;
        const adding = (async () => {
          for (const [index, isLater] of work.entries()) {
            if (!isLater) {
              await ordered.add(index);
              continue;
            }
            running += 1;
            most = Math.max(most, running);
            await ordered.add(
              scheduler.schedule(Promise.resolve(index)).then((result) => {
                running -= 1;
                return result;
              }),
            );
          }
          await ordered.settled();
        })();
        await scheduler.waitFor(adding);
        expect(out).toEqual(work.map((_isLater, index) => index));
        expect(most).toBeLessThanOrEqual(max);
      },
    ),
  );
});

test('behind a failure nothing comes out', async () => {
  const out: number[] = [];
  const ordered = inOrder<number>(10, (result) => out.push(result));
  await ordered.add(1);
  await ordered.add(Promise.reject(new Error('broken')));
  await ordered.add(Promise.resolve(2));
  await expect(ordered.settled()).rejects.toThrow('broken');
  expect(out).toEqual([1]);
});
