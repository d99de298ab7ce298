/** Answers in the codings of HTTP, read within the bound of any other answer. */
import fc from 'fast-check';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { decode, UnknownCoding } from '../../../gateway/execution/subgraphs/content-coding.js';

const maxBytes = 1_000_000;
const writers = {
  gzip: gzipSync,
  'x-gzip': gzipSync,
  br: brotliCompressSync,
  deflate: deflateSync,
  identity: (bytes: Buffer) => bytes,
} as const;
type Coding = keyof typeof writers;

test('bytes are read back through codings in the order in which they were applied', async () => {
  const codings = fc.array(fc.constantFrom<Coding>('gzip', 'x-gzip', 'br', 'deflate', 'identity'), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(codings, fc.uint8Array({ minLength: 1, maxLength: 5_000 }), async (applied, array) => {
      const bytes = Buffer.from(array);
      const coded = applied.reduce((given: Buffer, coding) => writers[coding](given), bytes);
      expect(await decode(coded, applied.join(', '), maxBytes)).toEqual(bytes);
    }),
    { numRuns: 50 },
  );
});

test('deflate without the header of zlib, as some servers write it, is read', async () => {
  expect((await decode(deflateRawSync('{"data":{}}'), 'deflate', maxBytes)).toString()).toBe('{"data":{}}');
});

test('names of codings are read whatever their case, and an empty answer has none', async () => {
  expect((await decode(gzipSync('x'), ' GZip ,', maxBytes)).toString()).toBe('x');
  expect(await decode(Buffer.alloc(0), 'gzip', maxBytes)).toHaveLength(0);
});

test.each(['zstd', 'gzip, zstd', 'compress', 'gzip, gzip, gzip, gzip, gzip'])(
  'the coding "%s" is refused by its name',
  async (coding) => {
    const refused = decode(gzipSync('x'), coding, maxBytes);
    await expect(refused).rejects.toBeInstanceOf(UnknownCoding);
    await expect(refused).rejects.toThrow(`The answer has the content-encoding "${coding}".`);
  },
);

test.each<Coding>(['gzip', 'br', 'deflate'])('%s that is broken is an error', async (coding) => {
  await expect(decode(Buffer.from('no such coding'), coding, maxBytes)).rejects.toThrow();
  const whole = writers[coding](Buffer.from('x'.repeat(1_000)));
  await expect(decode(whole.subarray(0, whole.length - 4), coding, maxBytes)).rejects.toThrow();
});

test.each<Coding>(['gzip', 'br', 'deflate'])('%s is not inflated beyond the limit', async (coding) => {
  const bomb = writers[coding](Buffer.alloc(maxBytes * 20));
  const before = process.memoryUsage().arrayBuffers;
  await expect(decode(bomb, coding, maxBytes)).rejects.toThrow(/larger than 1000000 bytes/);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(maxBytes * 5);
});
