/**
 * Parses the parameters of GraphQL over HTTP, from the body of a POST or the URL of a GET. All
 * formats of answers share this parser.
 * Source: https://graphql.github.io/graphql-over-http/draft/#sec-Request
 */
import type { FastifyRequest } from 'fastify';
import { FleetgraphError } from '../../platform/errors.js';
import type { ParseJson } from '../guards/json.js';

export interface HttpParameters {
  /** Undefined where its id or its hash says what it is. */
  readonly query: string | undefined;
  /** Of an operation that is known to the gateway. */
  readonly documentId: string | undefined;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly extensions: Readonly<Record<string, unknown>>;
}

const nothing: Readonly<Record<string, unknown>> = {};

/** Whether the method is safe (RFC 9110, section 9.2.1): GET or HEAD. */
export function isSafeMethod({ method }: Pick<FastifyRequest, 'method'>): boolean {
  return method !== 'POST';
}

/** @throws FleetgraphError BAD_USER_INPUT that names the parameter at fault. */
export function parametersOf(request: FastifyRequest, parseJson: ParseJson): HttpParameters {
  return isSafeMethod(request) ? parametersOfUrl(request.query, parseJson) : parametersOfBody(request.body);
}

/** @throws FleetgraphError BAD_USER_INPUT that names the parameter at fault. */
export function parametersOfBody(body: unknown): HttpParameters {
  if (!isRecord(body))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The body is to be a JSON object with "query", and "variables" if any.',
    );
  return {
    query: textOf(body, 'query'),
    documentId: documentIdOf(body),
    operationName: textOf(body, 'operationName'),
    variables: recordOf(body['variables'], 'variables'),
    extensions: recordOf(body['extensions'], 'extensions'),
  };
}

/** In a URL, `variables` and `extensions` are JSON. */
function parametersOfUrl(query: unknown, parseJson: ParseJson): HttpParameters {
  const given = isRecord(query) ? query : nothing;
  const record = (name: string) => {
    const text = textOf(given, name);
    return recordOf(text === undefined ? undefined : parseJson(text, `"${name}"`), name);
  };
  return {
    query: textOf(given, 'query'),
    documentId: documentIdOf(given),
    operationName: textOf(given, 'operationName'),
    variables: record('variables'),
    extensions: record('extensions'),
  };
}

/** Longer than any cursor. */
const maxCursorLength = 512;

/**
 * The `id` of the last event that a disconnected EventSource saw: its stream resumes there.
 * @throws FleetgraphError BAD_USER_INPUT, because a stream from elsewhere would have a silent gap
 */
export function lastEventIdOf({ headers }: FastifyRequest): string | undefined {
  const value = headers['last-event-id'];
  if (value === undefined || value === '') return undefined;
  if (typeof value === 'string' && value.length <= maxCursorLength) return value;
  throw new FleetgraphError('BAD_USER_INPUT', '"Last-Event-ID" is to be the id of an event of this subscription.');
}

/** The value of a header; undefined if it has more than 512 characters. */
export function headerOf({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' && value.length <= 512 ? value : undefined;
}

/** Clients use several names: Relay's documentation has `doc_id`, others `documentId` or `id`. */
function documentIdOf(given: Readonly<Record<string, unknown>>): string | undefined {
  return textOf(given, 'documentId') ?? textOf(given, 'doc_id') ?? textOf(given, 'id');
}

function textOf(given: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = given[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string') return value;
  throw new FleetgraphError('BAD_USER_INPUT', `"${name}" is to be a string.`);
}

function recordOf(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return nothing;
  if (isRecord(value)) return value;
  throw new FleetgraphError('BAD_USER_INPUT', `"${name}" is to be a JSON object.`);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
