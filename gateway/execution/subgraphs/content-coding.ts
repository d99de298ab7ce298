/**
 * The codings in which an answer may come: `gzip`, `deflate` and `br`, also one over another. RFC
 * 9110 (12.5.3) lets a server choose any coding for a request without `accept-encoding`, and a
 * proxy on the way may choose one, too. Never inflates beyond the limit: a small answer may hold a
 * very large one.
 */
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, inflateRaw, type InputType, type ZlibOptions } from 'node:zlib';

type Inflate = (bytes: InputType, options: Pick<ZlibOptions, 'maxOutputLength'>) => Promise<Buffer>;

/** What a request may say that it takes. */
export const acceptedCodings = 'gzip, br, deflate';

/** The answer is in a coding that the gateway does not read: the next one will be, too. */
export class UnknownCoding extends Error {
  constructor(coding: string) {
    super(
      `The answer has the content-encoding "${coding}". The gateway reads ${acceptedCodings}: ` +
        'set the subgraph, or the proxy before it, to one of them or to none.',
    );
    this.name = 'UnknownCoding';
  }
}

/** One over another makes sense twice at most; each costs a pass over the answer. */
const maxCodings = 4;

const [inflateZlib, inflateBare] = [promisify(inflate) as Inflate, promisify(inflateRaw) as Inflate];
const readers: ReadonlyMap<string, Inflate> = new Map<string, Inflate>([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['br', promisify(brotliDecompress)],
  // Some servers leave out the header of zlib (RFC 9110, 8.4.1.2).
  ['deflate', (bytes, options) => (isZlib(bytes as Buffer) ? inflateZlib : inflateBare)(bytes, options)],
]);

/**
 * The bytes without their codings, inflated outside of the event loop.
 * @param contentEncoding the header: codings in the order in which they were applied
 * @throws UnknownCoding; Error if the bytes are not in that coding, or are more than `maxBytes`
 * without it.
 */
export async function decode(bytes: Buffer, contentEncoding: string, maxBytes: number): Promise<Buffer> {
  const codings = contentEncoding
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity');
  const inOrder = codings.reverse().map((coding) => readers.get(coding));
  if (inOrder.length > maxCodings || inOrder.includes(undefined))
    throw new UnknownCoding(contentEncoding.slice(0, 100));
  let decoded = bytes;
  for (const read of inOrder) {
    // What has no body, as with status 204, may name a coding all the same.
    if (read && decoded.length > 0) decoded = await read(decoded, { maxOutputLength: maxBytes });
  }
  return decoded;
}

function isZlib([first = 0, second = 0]: Buffer): boolean {
  return (first & 15) === 8 && (first * 256 + second) % 31 === 0;
}
