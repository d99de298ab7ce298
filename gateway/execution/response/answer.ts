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
}

/**
 * @param data JSON, or undefined if nothing was executed
 * @param extensions JSON of an object, or undefined
 */
export function answerOf(
  data: string | undefined,
  errors: readonly GraphQLFormattedError[],
  extensions?: string,
): Answer {
  let text = data === undefined ? '{' : `{"data":${data}`;
  if (errors.length > 0) text += `${data === undefined ? '' : ','}"errors":${JSON.stringify(errors)}`;
  if (extensions !== undefined) text += `,"extensions":${extensions}`;
  return { text: `${text}}`, hasData: data !== undefined, errors };
}
