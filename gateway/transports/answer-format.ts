/**
 * Chooses the format of an answer: JSON of one media type, or a stream. `Accept` lists what the
 * client takes; the kind of the operation decides between the two.
 *
 * With `application/graphql-response+json` the status says whether the operation ran. Clients that
 * name `application/json` are older than that type: they get 200 for well-formed GraphQL over HTTP
 * and read `errors`. Clients without a preference get `application/json` with the true status.
 * Source: https://graphql.github.io/graphql-over-http/draft/#sec-Response
 */
import { LRUCache } from 'lru-cache';
import { mediaRangesOf } from './accept.js';
import type { StreamFormat } from './http-stream.js';
import { multipart } from './multipart.js';
import { sse } from './sse.js';

/** How an answer in one piece is sent. */
export interface AnswerType {
  readonly contentType: string;
  /** Whether a refused operation has status 200. */
  readonly isAlwaysOk: boolean;
}

/** The formats of the gateway that a client accepts. */
export interface Acceptance {
  readonly json: AnswerType | undefined;
  readonly stream: StreamFormat | undefined;
  /** Whether the client prefers the stream to JSON. */
  readonly prefersStream: boolean;
}

const jsonType = 'application/json; charset=utf-8';
const legacy: AnswerType = { contentType: jsonType, isAlwaysOk: true };
const indifferent: AnswerType = { contentType: jsonType, isAlwaysOk: false };
const modern: AnswerType = { contentType: 'application/graphql-response+json; charset=utf-8', isAlwaysOk: false };

/** For errors, where the client accepts no JSON or prefers a stream. */
export const plainJson = indifferent;

const answerTypes = new Map<string, AnswerType>([
  ['application/graphql-response+json', modern],
  ['application/json', legacy],
  ['application/*', indifferent],
  ['*/*', indifferent],
]);
const streamFormats = [sse, multipart];

/** @returns a function of the `Accept` header that remembers the headers of usual clients. */
export function createAcceptanceOf(): (accept: string | undefined) => Acceptance {
  const anything: Acceptance = { json: indifferent, stream: undefined, prefersStream: false };
  const known = new LRUCache<string, Acceptance>({ max: 100 });
  return (accept) => {
    if (accept === undefined || accept === '*/*' || accept === '') return anything;
    const remembered = known.get(accept);
    if (remembered) return remembered;
    const acceptance = acceptanceIn(accept);
    // Bounds the memory of the cache.
    if (accept.length <= 256) known.set(accept, acceptance);
    return acceptance;
  };
}

function acceptanceIn(accept: string): Acceptance {
  const ranges = mediaRangesOf(accept);
  const jsonAt = ranges.findIndex(({ type }) => answerTypes.has(type));
  const streamAt = ranges.findIndex((range) => streamFormats.some((format) => format.accepts(range)));
  const [json, stream] = [ranges[jsonAt], ranges[streamAt]];
  return {
    json: json && answerTypes.get(json.type),
    stream: stream && streamFormats.find((format) => format.accepts(stream)),
    prefersStream: stream !== undefined && (json === undefined || streamAt < jsonAt),
  };
}

/**
 * The stream that answers an operation; undefined: JSON does. A subscription streams if the client
 * accepts a stream. A query streams if the client prefers it and the format can carry queries.
 * @param isSubscription false for an operation that is refused
 */
export function streamFor({ stream, prefersStream }: Acceptance, isSubscription: boolean): StreamFormat | undefined {
  return isSubscription || (prefersStream && stream?.carriesEverything === true) ? stream : undefined;
}

/** The media type of an error response. */
export function errorTypeFor({ json, prefersStream }: Acceptance): AnswerType {
  return prefersStream ? plainJson : (json ?? plainJson);
}
