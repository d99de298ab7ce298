import { expect, test } from 'vitest';
import { createSharedReads } from '../../../gateway/subscriptions/shared-reads.js';

/** A read that ends when the test says so. */
function manual() {
  const begun: { end: (value: number) => void; fail: (error: Error) => void }[] = [];
  return {
    begun,
    read: () => new Promise<number>((resolve, reject) => begun.push({ end: resolve, fail: reject })),
  };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('who asks before it is read gets the same; who asks while it is read gets the next, one at a time', async () => {
  const reads = createSharedReads<number>();
  const { begun, read } = manual();
  const together = [reads.read('k', read), reads.read('k', read)];
  await turn();
  expect(begun).toHaveLength(1);
  const later = [reads.read('k', read), reads.read('k', read), reads.read('k', read)];
  await turn();
  await turn();
  expect(begun).toHaveLength(1);
  begun[0]?.end(1);
  expect(await Promise.all(together)).toEqual([1, 1]);
  await turn();
  expect(begun).toHaveLength(2);
  begun[1]?.end(2);
  expect(await Promise.all(later)).toEqual([2, 2, 2]);
});

test('a failure is that of those who shared it, and the next read goes on', async () => {
  const reads = createSharedReads<number>();
  const { begun, read } = manual();
  const failing = reads.read('k', read);
  await turn();
  const next = reads.read('k', read);
  begun[0]?.fail(new Error('away'));
  await expect(failing).rejects.toThrow('away');
  await turn();
  begun[1]?.end(2);
  expect(await next).toBe(2);
});

test('different questions do not wait for each other', async () => {
  const reads = createSharedReads<number>();
  const { begun, read } = manual();
  void reads.read('one', read);
  const other = reads.read('other', read);
  await turn();
  expect(begun).toHaveLength(2);
  begun[1]?.end(7);
  expect(await other).toBe(7);
});
