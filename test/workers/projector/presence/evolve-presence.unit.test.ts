import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evolve, type Presence, type PresenceMessage } from '../../../../workers/projector/presence/evolve-presence.js';

const never: Presence = { online: false, session: 0, lastSeenMs: null };
const fold = (messages: readonly PresenceMessage[], from = never): Presence => messages.reduce(evolve, from);

/** The life of a device: sessions that begin and end, in the order in which that happened. */
const life = fc
  .array(fc.record({ gap: fc.integer({ min: 2, max: 50 }), length: fc.integer({ min: 1, max: 50 }) }), {
    minLength: 1,
    maxLength: 6,
  })
  .chain((sessions) => fc.record({ sessions: fc.constant(sessions), stillOnline: fc.boolean() }))
  .map(({ sessions, stillOnline }) => {
    const messages: PresenceMessage[] = [];
    let clock = 1_000;
    sessions.forEach(({ gap, length }, index) => {
      const session = (clock += gap);
      messages.push({ kind: 'online', session, atMs: session });
      clock += length;
      if (index < sessions.length - 1 || !stillOnline) messages.push({ kind: 'offline', session, atMs: clock });
    });
    return { messages, stillOnline };
  });

test('is online exactly while the newest session lasts', () => {
  fc.assert(
    fc.property(life, ({ messages, stillOnline }) => {
      expect(fold(messages).online).toBe(stillOnline);
    }),
  );
});

test('ends the same in any order in which messages arrive, with any of them repeated, once every session is heard of', () => {
  fc.assert(
    fc.property(
      life.chain(({ messages, stillOnline }) =>
        fc
          .tuple(
            fc.shuffledSubarray(messages, { minLength: messages.length }),
            fc.array(fc.constantFrom(...messages), { maxLength: 6 }),
          )
          .map(([shuffled, repeated]) => ({ delivered: [...shuffled, ...repeated], stillOnline })),
      ),
      ({ delivered, stillOnline }) => {
        expect(fold(delivered).online).toBe(stillOnline);
      },
    ),
  );
});

test('a message that was heard before changes nothing', () => {
  fc.assert(
    fc.property(life, fc.nat(), ({ messages }, n) => {
      const presence = fold(messages);
      const again = messages[n % messages.length];
      if (again !== undefined) expect(evolve(presence, again)).toBe(presence);
    }),
  );
});

test('never goes back to an older session', () => {
  const message: fc.Arbitrary<PresenceMessage> = fc.oneof(
    fc.record({
      kind: fc.constantFrom('online' as const, 'offline' as const),
      session: fc.integer({ min: 1, max: 20 }),
      atMs: fc.integer({ min: 1, max: 100 }),
    }),
    fc.record({ kind: fc.constant('reset' as const), session: fc.integer({ min: 1, max: 20 }) }),
  );
  fc.assert(
    fc.property(fc.array(message), (messages) => {
      let presence = never;
      for (const each of messages) {
        const next = evolve(presence, each);
        expect(next.session).toBeGreaterThanOrEqual(presence.session);
        expect(next.lastSeenMs ?? 0).toBeGreaterThanOrEqual(presence.lastSeenMs ?? 0);
        presence = next;
      }
    }),
  );
});

test('a reset ends the sessions before it and not the ones after it, not even one in the same millisecond', () => {
  const online = fold([{ kind: 'online', session: 10, atMs: 10 }]);
  const reset: PresenceMessage = { kind: 'reset', session: 20 };
  expect(evolve(online, reset).online).toBe(false);
  expect(fold([reset, { kind: 'online', session: 15, atMs: 15 }], online).online).toBe(false);
  expect(fold([reset, { kind: 'online', session: 20, atMs: 20 }], online).online).toBe(true);
  const after = fold([{ kind: 'online', session: 20, atMs: 20 }]);
  expect(evolve(after, reset)).toBe(after);
});
