/**
 * What a request for one answer says: the parameters of GraphQL over HTTP, from the body of a POST or the URL of a GET.
 * Source: https://graphql.github.io/graphql-over-http/draft/#sec-Request
 */
import { FleetgraphError } from '../../platform/errors.js';

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

/** @throws FleetgraphError BAD_USER_INPUT that names the parameter at fault. */
export function parametersOfBody(body: unknown): HttpParameters {
  if (!isRecord(body))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The body is to be a JSON object with "query", and "variables" if any.',
    );
  return {
    query: textOf(body, 'query'),
    documentId: textOf(body, 'documentId') ?? textOf(body, 'doc_id') ?? textOf(body, 'id'),
    operationName: textOf(body, 'operationName'),
    variables: recordOf(body['variables'], 'variables'),
    extensions: recordOf(body['extensions'], 'extensions'),
  };
}

/** In a URL, `variables` and `extensions` are JSON. @throws FleetgraphError BAD_USER_INPUT */
export function parametersOfUrl(query: unknown, parseJson: (text: string, name: string) => unknown): HttpParameters {
  const given = isRecord(query) ? query : nothing;
  const record = (name: string) => {
    const text = textOf(given, name);
    return recordOf(text === undefined ? undefined : parseJson(text, name), name);
  };
  return {
    query: textOf(given, 'query'),
    documentId: textOf(given, 'documentId') ?? textOf(given, 'doc_id') ?? textOf(given, 'id'),
    operationName: textOf(given, 'operationName'),
    variables: record('variables'),
    extensions: record('extensions'),
  };
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
