import fc from 'fast-check';
import { expect, it } from 'vitest';
import { latestPresence, type PresenceMessage } from '../../../../subgraphs/device/presence/latest-presence.js';

const message = fc.record<PresenceMessage>({
  deviceId: fc.constantFrom('a', 'b'),
  tenant: fc.constantFrom('acme', 'globex'),
  online: fc.boolean(),
  session: fc.integer({ min: 0, max: 4 }),
});

const keyOf = ({ tenant, deviceId }: PresenceMessage): string => `${tenant}/${deviceId}`;
const sorted = (messages: readonly PresenceMessage[]) =>
  [...messages].sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));

it('gives one message for each device of each tenant: of its newest session, offline once that ended', () => {
  fc.assert(
    fc.property(fc.array(message), (messages) => {
      const latest = latestPresence(messages);
      expect(new Set(latest.map(keyOf))).toEqual(new Set(messages.map(keyOf)));
      expect(latest).toHaveLength(new Set(messages.map(keyOf)).size);
      for (const one of latest) {
        const same = messages.filter((other) => keyOf(other) === keyOf(one));
        const session = Math.max(...same.map((other) => other.session));
        const ended = same.some((other) => other.session === session && !other.online);
        expect(one).toEqual({ ...one, session, online: !ended });
      }
    }),
  );
});

it('is the same in whatever order and however often they are heard', () => {
  fc.assert(
    fc.property(
      fc
        .array(message)
        .chain((messages) =>
          fc.tuple(
            fc.constant(messages),
            fc.shuffledSubarray([...messages, ...messages], { minLength: messages.length * 2 }),
          ),
        ),
      ([messages, again]) => {
        expect(sorted(latestPresence(again))).toEqual(sorted(latestPresence(messages)));
      },
    ),
  );
});

it('is the same when it is taken of parts first', () => {
  fc.assert(
    fc.property(fc.array(message), fc.array(message), (one, other) => {
      const inParts = latestPresence([...latestPresence(one), ...latestPresence(other)]);
      expect(sorted(inParts)).toEqual(sorted(latestPresence([...one, ...other])));
    }),
  );
});
