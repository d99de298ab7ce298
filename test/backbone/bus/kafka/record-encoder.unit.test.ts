import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  encodeRecord,
  installRecordEncoder,
  type EncodableRecord,
} from '../../../../backbone/bus/kafka/record-encoder.js';

const require = createRequire(import.meta.url);
const kafkajsEncoder = 'kafkajs/src/protocol/recordBatch/record/v0/index.js';
const kafkajs = require(kafkajsEncoder) as (record: EncodableRecord) => { readonly buffer: Buffer };

const text = fc.string({ unit: 'grapheme', maxLength: 300 });
const bytes = fc.oneof(
  text,
  fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
);
const record: fc.Arbitrary<EncodableRecord> = fc.record(
  {
    offsetDelta: fc.nat({ max: 2 ** 30 }),
    timestampDelta: fc.nat({ max: 2 ** 40 }),
    key: fc.oneof(bytes, fc.constant(null)),
    value: fc.oneof(bytes, fc.constant(null)),
    headers: fc.dictionary(text, fc.oneof(bytes, fc.array(bytes, { maxLength: 3 }))),
  },
  { requiredKeys: ['value'] },
);

it('writes the bytes that kafkajs would write', () => {
  fc.assert(
    fc.property(record, (given) => {
      expect(encodeRecord(given).buffer.equals(kafkajs(given).buffer)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

it('takes the place of the encoder of kafkajs where kafkajs loads it', () => {
  installRecordEncoder();
  installRecordEncoder();
  expect(require(kafkajsEncoder)).toBe(encodeRecord);
});
