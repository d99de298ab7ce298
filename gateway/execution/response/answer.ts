/** The answer to an operation as JSON, written once: what HTTP, a WebSocket and a stream carry alike. */
import type { GraphQLFormattedError } from 'graphql';

export interface Answer {
  /** JSON of the execution result, as it is given to a socket. */
  readonly body: Buffer;
  /** The same as text. */
  readonly text: string;
  /** Whether something was executed; else the operation was refused, and there is no `data`. */
  readonly hasData: boolean;
  readonly errors: readonly GraphQLFormattedError[];
  /** How long it may be kept, as the HTTP header says it; undefined if not at all. */
  readonly cacheControl?: string | undefined;
}

const noErrors: readonly GraphQLFormattedError[] = [];

/**
 * @param body JSON with the data alone: `{"data":…}`; undefined if nothing was executed
 * @param extensions JSON of an object, or undefined
 * @param cacheControl how long it may be kept
 */
export function answerOf(
  body: Buffer | undefined,
  errors: readonly GraphQLFormattedError[],
  extensions?: string,
  cacheControl?: string,
): Answer {
  if (body && errors.length === 0 && extensions === undefined)
    return new BytesAnswer(body, true, noErrors, cacheControl);
  let rest = '';
  if (errors.length > 0) rest += `,"errors":${JSON.stringify(errors)}`;
  if (extensions !== undefined) rest += `,"extensions":${extensions}`;
  const bytes = body
    ? Buffer.concat([body.subarray(0, body.length - 1), Buffer.from(`${rest}}`)])
    : Buffer.from(`{${rest.slice(1)}}`);
  return new BytesAnswer(bytes, body !== undefined, errors, cacheControl);
}

const dataStart = '{"data":'.length;

/** JSON of the data in an answer of data alone. */
export function dataIn(body: Buffer): string {
  return body.toString('utf8', dataStart, body.length - 1);
}

class BytesAnswer implements Answer {
  readonly body: Buffer;
  readonly hasData: boolean;
  readonly errors: readonly GraphQLFormattedError[];
  readonly cacheControl: string | undefined;

  constructor(
    body: Buffer,
    hasData: boolean,
    errors: readonly GraphQLFormattedError[],
    cacheControl: string | undefined,
  ) {
    this.body = body;
    this.hasData = hasData;
    this.errors = errors;
    this.cacheControl = cacheControl;
  }

  get text(): string {
    return this.body.toString();
  }
}
