/** The forms of requests over HTTP: methods and `Accept` headers of usual clients. */
import type { GatewayWorld } from '../gateway-world.js';
import type { OperationError } from '../protocol-client.js';
import { eventsIn, partsIn } from './stream-world.js';

export interface RequestForm {
  readonly name: string;
  readonly method: 'GET' | 'POST';
  readonly accept: string;
  /** Whether a subscription is answered here. */
  readonly streams: boolean;
  /** In what a query is answered. */
  readonly answersWith: 'application/json' | 'application/graphql-response+json' | 'text/event-stream';
}

/** What `@urql/core` sends with each query. */
export const acceptOfUrql =
  'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed';
/** What Apollo Client sends with a subscription. */
export const acceptOfApollo = 'multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json';

const modern = 'application/graphql-response+json';
const formats: readonly Omit<RequestForm, 'method'>[] = [
  { name: 'JSON', accept: modern, streams: false, answersWith: modern },
  { name: 'JSON or SSE, as urql', accept: acceptOfUrql, streams: true, answersWith: modern },
  { name: 'multipart, as Apollo Client', accept: acceptOfApollo, streams: true, answersWith: 'application/json' },
  { name: 'SSE', accept: 'text/event-stream', streams: true, answersWith: 'text/event-stream' },
];

export const requestForms: readonly RequestForm[] = formats.flatMap((format) =>
  (['POST', 'GET'] as const).map((method) => ({ ...format, method, name: `${format.name}, by ${method}` })),
);

export interface Outcome {
  readonly status: number;
  readonly type: string;
  readonly headers: Headers;
  readonly data: unknown;
  readonly errors: readonly OperationError[];
  readonly extensions: unknown;
}

type Result = { readonly data?: unknown; readonly errors?: readonly OperationError[]; readonly extensions?: unknown };

export interface SendOptions {
  /** Instead of a good token of `acme`. */
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The first result of an operation; the client leaves when it has it. */
export async function sendAs(
  world: GatewayWorld,
  { method, accept }: RequestForm,
  parameters: Readonly<Record<string, unknown>> | string,
  { token, headers }: SendOptions = {},
): Promise<Outcome> {
  const leaving = new AbortController();
  const response = await fetch(`${world.url}/graphql${method === 'GET' ? `?${searchOf(parameters)}` : ''}`, {
    method,
    headers: {
      accept,
      authorization: `Bearer ${token ?? (await world.issuer.token('acme'))}`,
      ...(method === 'POST' ? { 'content-type': 'application/json' } : { 'apollo-require-preflight': 'true' }),
      ...headers,
    },
    signal: leaving.signal,
    ...(method === 'GET' ? {} : { body: typeof parameters === 'string' ? parameters : JSON.stringify(parameters) }),
  });
  const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? '';
  const result = await firstResultOf(response, type);
  leaving.abort();
  const { data, errors = [], extensions } = result;
  return { status: response.status, type, headers: response.headers, data, errors, extensions };
}

export function codeOf({ errors }: Pick<Outcome, 'errors'>): unknown {
  return errors[0]?.extensions?.['code'];
}

function searchOf(parameters: Readonly<Record<string, unknown>> | string): string {
  if (typeof parameters === 'string') return parameters;
  const texts = Object.entries(parameters).map(([name, value]): [string, string] => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return new URLSearchParams(texts).toString();
}

async function firstResultOf(response: Response, type: string): Promise<Result> {
  if (type.endsWith('json')) return (await response.json()) as Result;
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const [event] = eventsIn(text);
    if (type === 'text/event-stream' && event) return JSON.parse(event.data) as Result;
    const [part] = type === 'multipart/mixed' ? (partsIn(text) as ({ payload?: Result } & Result)[]) : [];
    if (part) return part.payload ?? part;
  }
  throw new Error(`The answer is no result: ${text}`);
}
