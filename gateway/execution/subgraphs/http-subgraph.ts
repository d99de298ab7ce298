/**
 * A subgraph over HTTP: connections that stay open, a deadline, one more try for what only reads, and one request for those who
 * ask for the same at the same time. What the subgraph answers is passed on; that it doesn't answer is UNAVAILABLE.
 */
import { GraphQLError } from 'graphql';
import { Pool } from 'undici';
import type { Logger } from '../../../platform/observability/logger.js';
import { currentTraceparent } from '../../../platform/observability/trace-context.js';
import type { GatewayMetrics } from '../../gateway-metrics.js';
import { parseExactJson } from '../../../platform/json/exact-json.js';
import { isObject } from '../json.js';
import type { AnswerReader } from '../tape/answer-reader.js';
import { exchange, type Answer, type Cancellable } from './exchange.js';
import { observeFetch } from './observe-fetch.js';
import { authorityOf, untilAborted, type InFlight } from './in-flight.js';
import {
  checkEntities,
  variablesText,
  type Subgraph,
  type SubgraphRequest,
  type SubgraphResponse,
} from './subgraph.js';
import { unavailable } from './unavailable.js';

export interface HttpSubgraphOptions {
  readonly name: string;
  readonly url: string;
  /** Milliseconds that it has to answer, all attempts together. */
  readonly timeoutMs: number;
  /** Undefined: every request goes out. */
  readonly inFlight: InFlight | undefined;
  readonly metrics: Pick<GatewayMetrics, 'fetchSeconds'>;
  readonly log: Logger;
}

export interface HttpSubgraph extends Subgraph {
  /** Takes no more; resolves when what is under way has ended, and its connections. */
  leave(): Promise<void>;
  /** Ends what is under way, and its connections. */
  close(): Promise<void>;
}

/** Requests beyond that wait for a connection, within their deadline. */
const maxConnections = 256;

export function createHttpSubgraph(options: HttpSubgraphOptions): HttpSubgraph {
  const { name, timeoutMs, inFlight, log } = options;
  const url = new URL(options.url);
  const path = `${url.pathname}${url.search}`;
  const pool = new Pool(url.origin, { connections: maxConnections });
  const seconds = options.metrics.fetchSeconds.labels({ subgraph: name });

  const begin = (request: SubgraphRequest, body: string): Cancellable<Answer> => {
    let cancel: () => void = () => undefined;
    // What is sent is begun at once, in the span, and names it.
    const promise = observeFetch(request, { name, seconds }, () => {
      const begun = exchange(pool, {
        ...{ path, body, timeoutMs, headers: headersOf(request) },
        mayRepeat: !request.operation.isMutation,
      });
      ({ cancel } = begun);
      return begun.promise;
    });
    return { promise, cancel: () => cancel() };
  };

  const ask = async (request: SubgraphRequest): Promise<Answer> => {
    const { operation, context, signal } = request;
    const body = `${operation.bodyStart}${variablesText(request)}}}`;
    if (operation.isMutation || !inFlight) {
      const begun = begin(request, body);
      try {
        return await untilAborted(begun.promise, signal, begun.cancel);
      } finally {
        inFlight?.renew();
      }
    }
    return inFlight.share(`${name}\n${authorityOf(context)}\n${body}`, signal, () => begin(request, body));
  };

  return {
    name,
    async fetch(request) {
      try {
        const response = responseIn(await ask(request), request.reader);
        checkEntities(request, response);
        return response;
      } catch (error) {
        if (request.signal?.aborted === true || error instanceof GraphQLError) throw error;
        log.warn({ subgraph: name, err: error }, 'subgraph does not answer');
        throw unavailable(name);
      }
    },
    leave: () => pool.close(),
    close: () => pool.destroy(),
  };
}

function headersOf({ context }: SubgraphRequest): string[] {
  const headers = ['content-type', 'application/json', 'accept', 'application/json'];
  const traceparent = currentTraceparent();
  // A health check of the gateway has no context.
  const { forwarded = {} } = context as Partial<SubgraphRequest['context']>;
  for (const name in forwarded)
    if (name !== 'traceparent' || traceparent === undefined) headers.push(name, forwarded[name] ?? '');
  if (traceparent !== undefined) headers.push('traceparent', traceparent);
  return headers;
}

/** @throws GraphQLError or Error if there is no answer in it. */
function responseIn({ status, body: bytes, cacheControl }: Answer, reader: AnswerReader | undefined): SubgraphResponse {
  const isGood = status >= 200 && status < 300;
  const read = isGood ? reader?.fromBytes(bytes) : undefined;
  if (read) return { data: read, ...(cacheControl === undefined ? {} : { cacheControl }) };
  const text = bytes.toString();
  let body: unknown;
  try {
    body = parseExactJson(text);
  } catch (error) {
    if (isGood) throw new Error(`The answer is no JSON: ${text.slice(0, 200)}`, { cause: error });
  }
  // Also a request that was refused may say why.
  if (isObject(body) && isResponse(body)) {
    const { data, errors } = body as SubgraphResponse;
    return {
      ...(data === undefined ? {} : { data: data && reader ? reader.fromValues(data) : data }),
      ...(errors ? { errors } : {}),
      ...(cacheControl === undefined ? {} : { cacheControl }),
    };
  }
  if (status === 401)
    throw new GraphQLError('The subgraph asks for a good token.', { extensions: { code: 'UNAUTHENTICATED' } });
  if (status === 403) throw new GraphQLError('The subgraph refuses the token.', { extensions: { code: 'FORBIDDEN' } });
  throw new Error(`The answer (${status}) is no GraphQL response: ${text.slice(0, 200)}`);
}

function isResponse({ data, errors }: Readonly<Record<string, unknown>>): boolean {
  const hasErrors = Array.isArray(errors) && errors.length > 0 && errors.every(isObject);
  if (errors !== undefined && errors !== null && !hasErrors && !(Array.isArray(errors) && errors.length === 0))
    return false;
  return isObject(data) || ((data === null || data === undefined) && hasErrors);
}
