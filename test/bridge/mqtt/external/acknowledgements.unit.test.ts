import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createAcknowledgements } from '../../../../bridge/mqtt/external/acknowledgements.js';

test('are written in the order of receipt, each once, whatever becomes durable when', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.nat(), { maxLength: 40 }), (count, picks) => {
      const written: number[] = [];
      const line = createAcknowledgements((messageIds) => written.push(...messageIds));
      const waiting = Array.from({ length: count }, (_unused, messageId) => ({
        messageId,
        acknowledge: line.received(messageId),
      }));
      const done = new Set<number>();
      for (const pick of picks) {
        const [next] = waiting.splice(pick % Math.max(1, waiting.length), 1);
        if (!next) break;
        next.acknowledge();
        done.add(next.messageId);
        // Never one that is not durable, and no gap.
        expect(written).toEqual(Array.from({ length: written.length }, (_unused, index) => index));
        expect(written.every((messageId) => done.has(messageId))).toBe(true);
        // All that could be written are.
        expect(done.has(written.length)).toBe(false);
        expect(line.count()).toBe(count - written.length);
      }
    }),
  );
});

test('are not written any more when their connection is gone', () => {
  const written: number[] = [];
  const line = createAcknowledgements((messageIds) => written.push(...messageIds));
  const [first, second] = [line.received(1), line.received(2)];
  first();
  line.close();
  second();
  expect(written).toEqual([1]);
  expect(line.count()).toBe(0);
});
