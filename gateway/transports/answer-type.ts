/**
 * In which media type a request is answered, and with which status an operation that is refused as a whole.
 * `application/graphql-response+json` says by its status whether the operation ran. Who asks for `application/json` by name is a
 * client from before that type: it gets 200 for whatever is well-formed GraphQL over HTTP, and reads `errors`. Who doesn't mind
 * gets `application/json` with the status that is true.
 * Source: https://graphql.github.io/graphql-over-http/draft/#sec-Response
 */
import { LRUCache } from 'lru-cache';
import { mediaRangesOf } from './stream-request.js';

export interface AnswerType {
  readonly contentType: string;
  /** Whether an operation that is refused is 200 all the same. */
  readonly isAlwaysOk: boolean;
}

const json = 'application/json; charset=utf-8';
const legacy: AnswerType = { contentType: json, isAlwaysOk: true };
const indifferent: AnswerType = { contentType: json, isAlwaysOk: false };
const modern: AnswerType = { contentType: 'application/graphql-response+json; charset=utf-8', isAlwaysOk: false };

const types = new Map<string, AnswerType>([
  ['application/graphql-response+json', modern],
  ['application/json', legacy],
  ['application/*', indifferent],
  ['*/*', indifferent],
]);

/** @returns a function of the `Accept` header, which clients repeat; undefined if nothing of it can be had. */
export function createAnswerTypes(): (accept: string | undefined) => AnswerType | undefined {
  const known = new LRUCache<string, { readonly type: AnswerType | undefined }>({ max: 100 });
  return (accept) => {
    if (accept === undefined || accept === '*/*' || accept === '') return indifferent;
    const remembered = known.get(accept);
    if (remembered) return remembered.type;
    const range = mediaRangesOf(accept).find(({ type }) => types.has(type));
    const type = range && types.get(range.type);
    // A header may be long, and is kept only if it is one that programs send.
    if (accept.length <= 256) known.set(accept, { type });
    return type;
  };
}

/** For what is wrong before the type is known. */
export const plainJson = indifferent;
