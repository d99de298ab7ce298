import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBoundedChanges, createConflatingChanges } from '../../../../subgraphs/query/live/pending-changes.js';
import { deviceChange } from './device-change.js';

const never = new AbortController().signal;

/** Pushes (a device's number) and takes, in any order; a take happens only when something is there. */
const steps = fc.array(fc.oneof(fc.record({ push: fc.integer({ min: 0, max: 4 }) }), fc.constant('take' as const)), {
  maxLength: 60,
});

test('conflating: comes out in order, and everything up to a number that came out has come out or was replaced', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const pending = createConflatingChanges();
      const pushed: { seq: bigint; id: string }[] = [];
      const taken: { seq: bigint; id: string }[] = [];
      const waiting = (): boolean => {
        const newest = new Map(pushed.map(({ id, seq }) => [id, seq]));
        return [...newest].some(([id, seq]) => !taken.some((each) => each.id === id && each.seq === seq));
      };
      for (const step of sequence) {
        if (step === 'take') {
          if (!waiting()) continue;
          const change = await pending.take(never);
          if (change) taken.push(change);
        } else {
          const change = deviceChange(pushed.length + 1, `device-${step.push}`);
          pushed.push(change);
          pending.push(change);
        }
        const upTo = taken.at(-1)?.seq ?? 0n;
        for (const { seq, id } of pushed.filter((each) => each.seq <= upTo))
          expect(
            taken.some((each) => each.seq === seq) || pushed.some((each) => each.id === id && each.seq > seq),
          ).toBe(true);
      }
      expect(taken.map(({ seq }) => seq)).toEqual(taken.map(({ seq }) => seq).sort((a, b) => Number(a - b)));
    }),
  );
});

test('conflating: a device that changes all the time does not keep another from coming out', async () => {
  const pending = createConflatingChanges();
  pending.push(deviceChange(1, 'hot'));
  pending.push(deviceChange(2, 'cold'));
  const ids: (string | undefined)[] = [];
  for (let seq = 3; seq < 6; seq += 1) {
    ids.push((await pending.take(never))?.id);
    pending.push(deviceChange(seq, 'hot'));
  }
  expect(ids).toContain('cold');
});

test('bounded: gives everything in order while at most `max` wait', async () => {
  const pending = createBoundedChanges(3);
  const taken: (bigint | undefined)[] = [];
  for (let seq = 1; seq <= 5_000; seq += 1) {
    pending.push(deviceChange(seq));
    if (seq > 2) taken.push((await pending.take(never))?.seq);
  }
  expect(taken).toEqual(Array.from({ length: 4_998 }, (_, n) => BigInt(n + 1)));
  expect(pending.overflowed()).toBe(false);
});

test('bounded: an overflow has the code that the schema promises to slow clients', async () => {
  const schema = await readFile('subgraphs/query/schema.graphql', 'utf8');
  const promised = /falls too far behind gets the error `([A-Z_]+)`/.exec(schema)?.[1];
  const pending = createBoundedChanges(0);
  pending.push(deviceChange(1));
  await expect(pending.take(never)).rejects.toMatchObject({ code: promised });
});

test('bounded: one too many throws all away and ends with LAGGED, until it is reset', async () => {
  const pending = createBoundedChanges(2);
  for (const seq of [1, 2, 3]) pending.push(deviceChange(seq));
  expect(pending.overflowed()).toBe(true);
  await expect(pending.take(never)).rejects.toMatchObject({ code: 'LAGGED' });
  pending.reset();
  pending.push(deviceChange(4));
  expect((await pending.take(never))?.seq).toBe(4n);
});

test.each([
  ['conflating', createConflatingChanges],
  ['bounded', () => createBoundedChanges(10)],
])('%s: one who waits is woken by a change, an end and an abort', async (_name, create) => {
  const pending = create();
  const first = pending.take(never);
  pending.push(deviceChange(1));
  expect((await first)?.seq).toBe(1n);

  const leaving = new AbortController();
  const second = pending.take(leaving.signal);
  leaving.abort();
  expect(await second).toBeUndefined();

  const third = pending.take(never);
  pending.fail(new Error('gone'));
  await expect(third).rejects.toThrow('gone');
});
