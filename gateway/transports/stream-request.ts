/**
 * A request for an answer that streams over HTTP: whether it asks for one, whether a page of another site may have made it, and
 * what its operation is. Parameters are those of GraphQL over HTTP (https://graphql.github.io/graphql-over-http/draft/).
 */
import type { FastifyRequest } from 'fastify';
import { FleetgraphError } from '../../platform/errors.js';
import { couldComeFromAnotherSite, crossSiteMessage } from '../guards/cross-site.js';
import type { OperationRequest } from './operations.js';

/** One of the media ranges of an `Accept` header (RFC 9110, section 12.5.1). */
export interface MediaRange {
  /** Type and subtype, in lower case. */
  readonly type: string;
  /** By name in lower case, quotes taken off. */
  readonly parameters: ReadonlyMap<string, string>;
}

export interface HttpOperation extends OperationRequest {
  readonly variables: Readonly<Record<string, unknown>>;
}

/** What the client takes, as it prefers it; what it refuses with `q=0` is not among it. */
export function mediaRangesOf(accept: string | undefined): readonly MediaRange[] {
  return (accept ?? '')
    .split(',')
    .map((text) => {
      const [type = '', ...rest] = text.split(';').map((part) => part.trim());
      const parameters = new Map(
        rest.map((parameter) => {
          const [name = '', value = ''] = parameter.split('=', 2);
          return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, '$1')];
        }),
      );
      return { type: type.toLowerCase(), parameters, quality: Number(parameters.get('q') ?? 1) };
    })
    .filter(({ type, quality }) => type !== '' && quality > 0)
    .sort((one, other) => other.quality - one.quality);
}

/**
 * Only what a browser asks the server about before it sends it from another site. An EventSource of a browser is not: it can
 * neither set a header of its own nor `Authorization`, and a token doesn't belong into a URL, which is logged. Clients that use
 * `fetch` can.
 * @throws FleetgraphError BAD_USER_INPUT
 */
export function refuseSimpleRequest({ headers }: FastifyRequest): void {
  // The token of a stream is no proof: what isn't said to be simple by its content type has to say so by a header.
  const { authorization: _token, ...others } = headers;
  if (couldComeFromAnotherSite(others)) throw new FleetgraphError('BAD_USER_INPUT', crossSiteMessage);
}

/** The operation, from the body of a POST or the URL of a GET. @throws FleetgraphError BAD_USER_INPUT */
export function httpOperationOf(request: FastifyRequest): HttpOperation {
  const given = request.method === 'GET' ? request.query : request.body;
  if (!isRecord(given))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The body is to be a JSON object with "query", and "variables" if any.',
    );
  const { query, operationName, variables } = given;
  if (typeof query !== 'string' || query === '')
    throw new FleetgraphError('BAD_USER_INPUT', '"query" is to be the text of an operation.');
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string')
    throw new FleetgraphError('BAD_USER_INPUT', '"operationName" is to be a string.');
  return {
    query,
    operationName: operationName === null || operationName === '' ? undefined : operationName,
    variables: variablesOf(request.method === 'GET' && typeof variables === 'string' ? parsed(variables) : variables),
  };
}

/** Longer than any cursor. */
const maxCursorLength = 512;

/**
 * Where an EventSource goes on that was cut off: the `id` of the last event that it saw.
 * @throws FleetgraphError BAD_USER_INPUT: to begin anywhere else would be a gap that nobody notices.
 */
export function lastEventIdOf({ headers }: FastifyRequest): string | undefined {
  const value = headers['last-event-id'];
  if (value === undefined || value === '') return undefined;
  if (typeof value === 'string' && value.length <= maxCursorLength) return value;
  throw new FleetgraphError('BAD_USER_INPUT', '"Last-Event-ID" is to be the id of an event of this subscription.');
}

function variablesOf(value: unknown): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return {};
  if (isRecord(value)) return value;
  throw new FleetgraphError('BAD_USER_INPUT', '"variables" is to be a JSON object.');
}

function parsed(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FleetgraphError('BAD_USER_INPUT', '"variables" is not JSON.', { cause: error });
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
