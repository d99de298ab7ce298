/**
 * Decodes the body of a request: decompresses it, within a bound, and decodes UTF-8, the only
 * encoding of JSON between systems (RFC 8259, section 8.1).
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type InputType, type ZlibOptions } from 'node:zlib';
import { codeOf, FleetgraphError } from '../../platform/errors.js';
import { RequestFault } from './http-refusal.js';

/**
 * Runs off the event loop.
 * Rejects with ERR_BUFFER_TOO_LARGE, and stops, at more than `maxOutputLength` bytes.
 */
type Decompress = (bytes: InputType, options: Pick<ZlibOptions, 'maxOutputLength'>) => Promise<Buffer>;

/** Supported content codings (https://www.iana.org/assignments/http-parameters). */
const decompressions = new Map<string, Decompress>([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
]);
const namedCodings = 'gzip, deflate, br';

/** Checks the headers before the body is read. @throws RequestFault 415 */
export function refuseUnreadableBody(headers: IncomingHttpHeaders): void {
  const coding = codingOf(headers);
  if (coding !== undefined && !decompressions.has(coding))
    throw new RequestFault(
      `The content encoding "${coding.slice(0, 40)}" is not supported. Send the body uncompressed, or with one of: ${namedCodings}.`,
      415,
      { 'accept-encoding': namedCodings },
    );
  const charset = charsetOf(headers['content-type']);
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')
    throw new RequestFault(
      `The charset "${charset.slice(0, 40)}" is not supported. Send JSON in UTF-8, with "content-type: application/json".`,
      415,
    );
}

/**
 * Decodes a body.
 * @param maxBytes of the decompressed body
 * @returns a promise only if the body is compressed
 * @throws FleetgraphError BAD_USER_INPUT, PAYLOAD_TOO_LARGE
 */
export function textOfBody(bytes: Buffer, headers: IncomingHttpHeaders, maxBytes: number): string | Promise<string> {
  const coding = codingOf(headers);
  const decompress = coding === undefined ? undefined : decompressions.get(coding);
  return decompress === undefined
    ? textOf(bytes)
    : decompress(bytes, { maxOutputLength: maxBytes }).then(textOf, (error: unknown) => {
        if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE')
          throw new FleetgraphError(
            'PAYLOAD_TOO_LARGE',
            `The decompressed body has more than ${maxBytes} bytes. Send less at once.`,
          );
        throw new FleetgraphError(
          'BAD_USER_INPUT',
          `The body is not valid ${coding ?? ''}. Send it uncompressed, or compress it again.`,
          {
            cause: error,
          },
        );
      });
}

function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new FleetgraphError('BAD_USER_INPUT', 'The body is not valid UTF-8. Send JSON in UTF-8.');
  // Skips a byte order mark.
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  return bytes.toString('utf8', start);
}

/** In lower case; undefined if the body is not compressed. */
function codingOf({ 'content-encoding': coding }: IncomingHttpHeaders): string | undefined {
  if (coding === undefined) return undefined;
  const name = coding.trim().toLowerCase();
  return name === '' || name === 'identity' ? undefined : name;
}

/** In lower case, without quotes; undefined if the content type names none. */
function charsetOf(contentType: string | undefined): string | undefined {
  if (contentType === undefined || !contentType.includes(';')) return undefined;
  return /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(contentType)?.[1]?.toLowerCase();
}
