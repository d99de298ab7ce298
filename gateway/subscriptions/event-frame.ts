/**
 * An event of a stream as it came from its subgraph. What the subgraph says beside the answer (`extensions.stream`) is read at
 * once, the answer itself only if somebody has to look into it: where it goes to the clients as it is, its bytes do.
 *
 * Invariant: `answer()` is the JSON of `{ "data": … }` and nothing else. The bytes are cut where the text can mean one thing only.
 * In a JSON string a quotation mark is escaped, so `,"extensions":{"stream":` is never part of one; its last occurrence, with
 * what is valid JSON up to the last brace but one, is the member of the payload. Whatever looks different is parsed.
 */
import type { StreamMark, StreamPlace } from '../../platform/graphql/stream-contract.js';
import { parseExactJson } from '../../platform/json/exact-json.js';
import { isObject, type JsonObject } from '../execution/json.js';

/** An execution result. What is in its errors has not been looked at. */
export interface UpstreamEvent {
  readonly data: JsonObject | null;
  readonly errors?: readonly unknown[] | undefined;
  readonly extensions?: unknown;
}
type StreamExtension = Partial<StreamPlace & StreamMark>;

/** A payload that is not JSON. Ends the connection. */
export class NotJson extends SyntaxError {}

/** A payload that is JSON but no execution result (GraphQL specification, 7.1). Ends its operation. */
export class MalformedEvent extends Error {}

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

  /** @param payload JSON of an execution result. @throws NotJson, MalformedEvent */
  constructor(payload: Buffer) {
    this.#payload = payload;
    const found = cut(payload);
    this.#answerEnd = found?.end;
    this.stream = found ? found.stream : streamOf(this.result());
  }

  /** Whether the bytes of the data pass the test; false if they cannot be found without parsing. */
  hasData(test: (json: Buffer, from: number, to: number) => boolean): boolean {
    return this.#answerEnd !== undefined && test(this.#payload, dataFirst.length, this.#answerEnd);
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

  /** @throws NotJson, MalformedEvent */
  result(): UpstreamEvent {
    this.#result ??= resultIn(this.#payload);
    return this.#result;
  }
}

/** Where the answer ends, and what is said beside it. */
function cut(payload: Buffer): { readonly end: number; readonly stream: StreamExtension | undefined } | undefined {
  if (
    payload.length < dataFirst.length ||
    payload.compare(dataFirst, 0, dataFirst.length, 0, dataFirst.length) !== 0 ||
    payload.includes(errors)
  )
    return undefined;
  const end = payload.lastIndexOf(streamLast);
  if (end === -1)
    return payload.includes(extensions) || payload.at(-1) !== closingBrace
      ? undefined
      : { end: payload.length - 1, stream: undefined };
  try {
    const stream: unknown = JSON.parse(payload.toString('utf8', end + streamLast.length, payload.length - 2));
    return isStream(stream) ? { end, stream } : undefined;
  } catch {
    return undefined;
  }
}

function resultIn(payload: Buffer): UpstreamEvent {
  let result: unknown;
  try {
    result = parseExactJson(payload.toString());
  } catch (error) {
    throw error instanceof SyntaxError ? new NotJson(error.message) : error;
  }
  if (!isObject(result)) throw new MalformedEvent('The payload of an event is no object.');
  const { data = null, errors: told, extensions: said } = result;
  const faults: readonly unknown[] = Array.isArray(told) ? told : [];
  if ((data !== null && !isObject(data)) || (told !== undefined && told !== null && !Array.isArray(told)))
    throw new MalformedEvent('The payload of an event has data or errors of another type than a result has.');
  const event = { data, errors: faults.length > 0 ? faults : undefined, extensions: said };
  if (data === null && faults.length === 0 && streamOf(event)?.mark === undefined)
    throw new MalformedEvent('The payload of an event has neither data nor errors.');
  return event;
}

function streamOf({ extensions: said }: UpstreamEvent): StreamExtension | undefined {
  const stream = isObject(said) ? said['stream'] : undefined;
  return isStream(stream) ? stream : undefined;
}

function isStream(said: unknown): said is StreamExtension {
  return isObject(said) && (said['mark'] === undefined || isObject(said['mark']));
}
