import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeResumeCursor, encodeResumeCursor, type Seen } from '../../../../subgraphs/query/live/resume-cursor.js';

const streams = ['deviceState', 'deviceStates', 'telemetry', 'command', 'events', 'fleet'] as const;
const seen: fc.Arbitrary<Seen> = fc.oneof(
  fc.bigInt({ min: 0n, max: 999_999_999_999_999_999n }),
  fc.constant('partOfSnapshot' as const),
);

test('gives back what was put in, for the same tenant and stream only', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom(...streams), seen, (tenant, stream, value) => {
      const cursor = encodeResumeCursor(tenant, stream, value);
      expect(decodeResumeCursor(tenant, stream, cursor)).toBe(value);
      expect(() => decodeResumeCursor(`${tenant}x`, stream, cursor)).toThrow(/not a cursor/);
      for (const other of streams)
        if (other !== stream) expect(() => decodeResumeCursor(tenant, other, cursor)).toThrow(/not a cursor/);
    }),
  );
});

test('takes nothing else for a cursor', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json().map((json) => Buffer.from(json).toString('base64url')),
      ),
      (text) => {
        expect(() => decodeResumeCursor('acme', 'events', text)).toThrow(/not a cursor/);
      },
    ),
  );
});
