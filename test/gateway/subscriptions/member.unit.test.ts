import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Member, type MemberEvents } from '../../../gateway/subscriptions/member.js';
import type { StreamPayload } from '../../../gateway/subscriptions/payload.js';

const payload = (position: number | undefined, name = String(position)): StreamPayload => ({
  bytes: Buffer.from(name),
  position: position === undefined ? undefined : BigInt(position),
  cursor: name,
  key: undefined,
});

function world(limits = { payloads: 1_000, bytes: 1_000_000 }) {
  const seen: string[] = [];
  const client = { hasRoom: true };
  const events: MemberEvents = {
    sent: () => undefined,
    conflated: () => undefined,
    lagged: ({ cursor }) => [{ message: `lagged behind ${String(cursor)}` }],
    ended: () => undefined,
  };
  const member = new Member({
    subscriber: {
      next({ bytes }) {
        seen.push(bytes.toString());
        return client.hasRoom;
      },
      complete: () => seen.push('complete'),
      error: ([error]) => seen.push(`error: ${error?.message ?? ''}`),
    },
    context: { forwarded: {} },
    since: undefined,
    limits,
    events,
  });
  return { member, seen, client };
}

test('whatever happens while it catches up, it gets everything once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 20 }),
      fc.nat({ max: 20 }),
      fc.nat({ max: 20 }),
      fc.array(fc.boolean(), { maxLength: 30 }),
      async (before, during, after, rooms) => {
        const { member, seen, client } = world();
        // The stream begins somewhere; it reads up to `before + during`, of which `during` happens while it reads.
        const settled = before + during;
        const total = settled + after;
        for (let position = before + 1; position <= settled; position += 1) member.offer(payload(position));
        const reading = (async () => {
          for (let position = 1; position <= settled; position += 1) await member.catchUp(payload(position));
          for (let position = settled + 1; position <= total; position += 1) member.offer(payload(position));
          member.goLive(BigInt(settled));
          member.end({ kind: 'complete' });
        })();
        for (const hasRoom of rooms) {
          client.hasRoom = hasRoom;
          member.resume();
          await Promise.resolve();
        }
        client.hasRoom = true;
        while (!member.hasEnded) {
          member.resume();
          await Promise.resolve();
        }
        await reading;
        expect(seen).toEqual([...Array.from({ length: total }, (_unused, index) => String(index + 1)), 'complete']);
      },
    ),
  );
});

test('a stream that ends while it catches up still gives it what it has missed', async () => {
  const { member, seen } = world();
  member.offer(payload(3));
  member.end({ kind: 'complete' });
  await member.catchUp(payload(1));
  await member.catchUp(payload(2));
  expect(seen).toEqual(['1', '2']);
  member.goLive(2n);
  expect(seen).toEqual(['1', '2', '3', 'complete']);
});

test('a stream that fails while it catches up fails it at once', () => {
  const { member, seen } = world();
  member.end({ kind: 'error', errors: [{ message: 'gone' }] });
  expect(seen).toEqual(['error: gone']);
  expect(member.hasEnded).toBe(true);
});

test('what happens while it catches up may be too much: it has a gap then, and can close it', () => {
  const { member } = world({ payloads: 2, bytes: 1_000 });
  for (let position = 1; position <= 3; position += 1) member.offer(payload(position));
  expect(member.hasGap).toBe(true);
  expect(member.hasEnded).toBe(false);
  member.closeGap();
  expect(member.hasGap).toBe(false);
});

test('too slow for a stream of facts, it is told behind which cursor to go on', () => {
  const { member, seen, client } = world({ payloads: 2, bytes: 1_000 });
  member.goLive(undefined);
  client.hasRoom = false;
  for (let position = 1; position <= 4; position += 1) member.offer(payload(position));
  expect(seen).toEqual(['1', 'error: lagged behind 1']);
  member.offer(payload(5));
  expect(seen).toHaveLength(2);
});

test('after it has left, nothing comes', async () => {
  const { member, seen } = world();
  await member.catchUp(payload(1));
  member.leave();
  await member.catchUp(payload(2));
  member.goLive(undefined);
  member.offer(payload(3));
  member.end({ kind: 'complete' });
  expect(seen).toEqual(['1']);
});
