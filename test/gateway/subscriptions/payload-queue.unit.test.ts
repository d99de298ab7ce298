import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PayloadQueue } from '../../../gateway/subscriptions/payload-queue.js';
import type { StreamPayload } from '../../../gateway/subscriptions/payload.js';

const payload = (position: number, key?: string, size = 10): StreamPayload => ({
  bytes: Buffer.alloc(size),
  position: BigInt(position),
  cursor: String(position),
  key,
});

const keys = ['a', 'b', 'c'] as const;
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ push: fc.option(fc.constantFrom(...keys), { nil: undefined }) }) },
  { weight: 2, arbitrary: fc.constant('shift' as const) },
);

test('facts all come out, of states the latest; a payload that has come says that everything before it has, or was replaced', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new PayloadQueue({ payloads: 1_000, bytes: 1_000_000 });
      const pushed: StreamPayload[] = [];
      const out: StreamPayload[] = [];
      for (const next of steps) {
        if (next === 'shift') {
          const shifted = queue.shift();
          if (shifted) out.push(shifted);
        } else {
          const added = payload(pushed.length, next.push);
          pushed.push(added);
          queue.push(added);
        }
      }
      for (let shifted = queue.shift(); shifted; shifted = queue.shift()) out.push(shifted);
      expect(queue.size).toBe(0);
      const positions = out.map(({ position }) => Number(position));
      expect(positions).toEqual([...positions].sort((one, other) => one - other));
      for (const one of pushed) {
        if (out.includes(one)) continue;
        expect(one.key).toBeDefined();
        expect(out.some(({ key, position }) => key === one.key && (position ?? 0n) > (one.position ?? 0n))).toBe(true);
      }
      expect(out.length + queue.conflated).toBe(pushed.length);
    }),
  );
});

test('an entity that changes all the time does not keep the others from coming', () => {
  const queue = new PayloadQueue({ payloads: 10, bytes: 10_000 });
  queue.push(payload(1, 'hot'));
  queue.push(payload(2, 'cold'));
  const out: (string | undefined)[] = [];
  for (let position = 3; out.length < 4; position += 1) {
    queue.push(payload(position, 'hot'));
    out.push(queue.shift()?.key);
  }
  expect(out).toContain('cold');
  expect(out).toContain('hot');
});

test('more payloads or more bytes than it may hold leave nothing: a stream with a hole is worth nothing', () => {
  for (const [limits, size] of [
    [{ payloads: 3, bytes: 1_000_000 }, 1],
    [{ payloads: 1_000, bytes: 100 }, 30],
  ] as const) {
    const queue = new PayloadQueue(limits);
    for (let position = 0; position < 4; position += 1) queue.push(payload(position, undefined, size));
    expect(queue.overflowed).toBe(true);
    expect(queue.size).toBe(0);
    queue.push(payload(5));
    expect(queue.shift()).toBeUndefined();
    queue.clear();
    queue.push(payload(6));
    expect(queue.shift()?.position).toBe(6n);
  }
});

test('states take the room of one each, however often they change', () => {
  const queue = new PayloadQueue({ payloads: 3, bytes: 100 });
  for (let position = 0; position < 1_000; position += 1) queue.push(payload(position, keys[position % 3], 20));
  expect(queue.overflowed).toBe(false);
  expect(queue.size).toBe(3);
  expect(queue.conflated).toBe(997);
});
