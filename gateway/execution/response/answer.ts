/** The answer to an operation as text, written once: what HTTP, a WebSocket and a stream carry alike. */
import type { GraphQLFormattedError } from 'graphql';

export interface Answer {
  /** JSON of the execution result. */
  readonly text: string;
  /** Whether something was executed; else the operation was refused, and there is no `data`. */
  readonly hasData: boolean;
  readonly errors: readonly GraphQLFormattedError[];
  /** How long it may be kept, as the HTTP header says it; undefined if not at all. */
  readonly cacheControl?: string | undefined;
  /**
   * The text as it is given to a socket. A long one in bytes, made once however often the answer is given: of a string Node.js makes
   * them for each socket, in three times the room.
   */
  readonly body: string | Buffer;
}

/** Characters from which bytes are made apart; a shorter text goes out with the headers, in one piece. */
const longText = 16_384;

/**
 * @param data JSON, or undefined if nothing was executed
 * @param extensions JSON of an object, or undefined
 * @param cacheControl how long it may be kept
 */
export function answerOf(
  data: string | undefined,
  errors: readonly GraphQLFormattedError[],
  extensions?: string,
  cacheControl?: string,
): Answer {
  let text = data === undefined ? '{' : `{"data":${data}`;
  if (errors.length > 0) text += `${data === undefined ? '' : ','}"errors":${JSON.stringify(errors)}`;
  if (extensions !== undefined) text += `,"extensions":${extensions}`;
  return new TextAnswer(`${text}}`, data !== undefined, errors, cacheControl);
}

class TextAnswer implements Answer {
  readonly text: string;
  readonly hasData: boolean;
  readonly errors: readonly GraphQLFormattedError[];
  readonly cacheControl: string | undefined;
  #bytes: Buffer | undefined;

  constructor(
    text: string,
    hasData: boolean,
    errors: readonly GraphQLFormattedError[],
    cacheControl: string | undefined,
  ) {
    this.text = text;
    this.hasData = hasData;
    this.errors = errors;
    this.cacheControl = cacheControl;
  }

  get body(): string | Buffer {
    return this.text.length < longText ? this.text : (this.#bytes ??= Buffer.from(this.text));
  }
}
