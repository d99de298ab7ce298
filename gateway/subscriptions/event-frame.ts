/**
 * An event of a stream as it came from its subgraph. What the subgraph says beside the answer (`extensions.stream`) is read at
 * once, the answer itself only if somebody has to look into it: where it goes to the clients as it is, its bytes do.
 *
 * Invariant: `answer()` is the JSON of `{ "data": … }` and nothing else. The bytes are cut where the text can mean one thing only.
 * In a JSON string a quotation mark is escaped, so `,"extensions":{"stream":` is never part of one; its last occurrence, with
 * what is valid JSON up to the last brace but one, is the member of the payload. Whatever looks different is parsed.
 */
import type { FormattedExecutionResult } from 'graphql';
import type { StreamMark, StreamPlace } from '../../platform/graphql/stream-contract.js';

export type UpstreamEvent = FormattedExecutionResult<Record<string, unknown>>;
type StreamExtension = Partial<StreamPlace & StreamMark>;

const dataFirst = Buffer.from('{"data":');
const errors = Buffer.from('"errors":');
const extensions = Buffer.from('"extensions":');
const streamLast = Buffer.from(',"extensions":{"stream":');
const closingBrace = '}'.charCodeAt(0);

export class EventFrame {
  readonly #payload: Buffer;
  #result: UpstreamEvent | undefined;
  /** Up to where the payload is the answer but for its closing brace; undefined if it has to be parsed. */
  readonly #answerEnd: number | undefined;
  readonly stream: StreamExtension | undefined;

  /** @param payload JSON of an execution result. @throws SyntaxError if it is not. */
  constructor(payload: Buffer) {
    this.#payload = payload;
    const found = cut(payload);
    this.#answerEnd = found?.end;
    this.stream = found ? found.stream : (this.result().extensions?.['stream'] as StreamExtension | undefined);
  }

  /** The JSON of `{ data }`, if the subgraph sent no errors with it: bytes of its own. */
  answer(): Buffer | undefined {
    if (this.#answerEnd === undefined) return undefined;
    // A copy: what came is part of a larger buffer, which a payload that waits must not keep.
    const bytes = Buffer.allocUnsafe(this.#answerEnd + 1);
    this.#payload.copy(bytes, 0, 0, this.#answerEnd);
    bytes[this.#answerEnd] = closingBrace;
    return bytes;
  }

  result(): UpstreamEvent {
    this.#result ??= JSON.parse(this.#payload.toString()) as UpstreamEvent;
    return this.#result;
  }
}

/** Where the answer ends, and what is said beside it. */
function cut(payload: Buffer): { readonly end: number; readonly stream: StreamExtension | undefined } | undefined {
  if (payload.compare(dataFirst, 0, dataFirst.length, 0, dataFirst.length) !== 0 || payload.includes(errors))
    return undefined;
  const end = payload.lastIndexOf(streamLast);
  if (end === -1)
    return payload.includes(extensions) || payload.at(-1) !== closingBrace
      ? undefined
      : { end: payload.length - 1, stream: undefined };
  try {
    const text = payload.toString('utf8', end + streamLast.length, payload.length - 2);
    return { end, stream: JSON.parse(text) as StreamExtension };
  } catch {
    return undefined;
  }
}
