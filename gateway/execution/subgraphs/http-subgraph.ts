/**
 * A subgraph over HTTP: connections that stay open, a deadline, one more try for what only reads, and one request for those who
 * ask for the same at the same time. What the subgraph answers is passed on; that it doesn't answer is UNAVAILABLE.
 */
import { GraphQLError } from 'graphql';
import { Pool } from 'undici';
import type { Logger } from '../../../platform/observability/logger.js';
import type { OutageLog } from '../../../platform/observability/outage-log.js';
import { currentTraceparent } from '../../../platform/observability/trace-context.js';
import type { GatewayMetrics } from '../../gateway-metrics.js';
import { parseExactJson } from '../../../platform/json/exact-json.js';
import { isObject, type JsonObject } from '../json.js';
import type { AnswerReader } from '../tape/answer-reader.js';
import type { CancelSignal } from '../cancellation.js';
import { exchange, type Answer } from './exchange.js';
import { acceptedCodings, UnknownCoding } from './content-coding.js';
import { observeFetch } from './observe-fetch.js';
import { authorityOf, type RequestDeduplication } from './request-deduplication.js';
import {
  checkEntities,
  variablesText,
  type Subgraph,
  type SubgraphRequest,
  type SubgraphResponse,
} from './subgraph.js';
import { errorsIn } from './subgraph-error.js';
import { errorOfRefusal, refusalOf } from './subgraph-refusal.js';
import { faulty, unavailable } from './unavailable.js';

export interface HttpSubgraphOptions {
  readonly name: string;
  readonly url: string;
  /** Milliseconds that it has to answer, all attempts together. */
  readonly timeoutMs: number;
  /** Whether it is asked to compress what it answers. */
  readonly compresses: boolean;
  /** Undefined: every request goes out. */
  readonly deduplication: RequestDeduplication | undefined;
  readonly metrics: Pick<GatewayMetrics, 'fetchSeconds'>;
  /** By the names of subgraphs. */
  readonly log: Logger;
  readonly outages: OutageLog;
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
  const { name, timeoutMs, compresses, deduplication, log, outages } = options;
  const url = new URL(options.url);
  const path = `${url.pathname}${url.search}`;
  const pool = new Pool(url.origin, { connections: maxConnections });
  const observed = { name, seconds: options.metrics.fetchSeconds.labels({ subgraph: name }) };

  /** The span is active while the headers are made, because they name it. */
  const send = (request: SubgraphRequest, body: string, signal: CancelSignal | undefined): Promise<Answer> =>
    observeFetch(request, observed, (onEnd) =>
      exchange(pool, {
        path,
        headers: headersOf(request, compresses),
        body,
        timeoutMs,
        mayRepeat: !request.operation.isMutation,
        signal,
        onEnd,
      }),
    );

  const write = async (request: SubgraphRequest, body: string): Promise<Answer> => {
    try {
      return await send(request, body, request.signal);
    } finally {
      deduplication?.renew();
    }
  };

  const ask = (request: SubgraphRequest): Promise<Answer> => {
    const { operation, context, signal } = request;
    const body = `${operation.bodyStart}${variablesText(request)}}}`;
    if (operation.isMutation) return write(request, body);
    if (!deduplication) return send(request, body, signal);
    const authority = authorityOf(context);
    return deduplication.isAlone(authority)
      ? send(request, body, signal)
      : deduplication.share(authority, `${name}\n${body}`, signal, (whileWanted) => send(request, body, whileWanted));
  };

  return {
    name,
    async fetch(request) {
      try {
        const answer = await ask(request);
        const response = responseIn(answer, name, request.reader);
        const refused = response.errors?.find(({ refusal }) => refusal !== undefined);
        checkEntities(request, response);
        if (refused?.refusal?.code === 'UNAVAILABLE') {
          outages.failed(name, new Error(`It answers ${answer.status}.`), { subgraph: name });
          return response;
        }
        if (refused)
          log.debug({ subgraph: name, status: answer.status, errors: response.errors }, 'subgraph refuses the request');
        outages.succeeded(name);
        return response;
      } catch (error) {
        if (request.signal?.aborted === true || error instanceof GraphQLError) throw error;
        if (error instanceof UnknownCoding) throw faulty(name, error);
        outages.failed(name, error, { subgraph: name });
        throw unavailable(name);
      }
    },
    leave: () => pool.close(),
    close: () => pool.destroy(),
  };
}

function headersOf({ context }: SubgraphRequest, compresses: boolean): string[] {
  const headers = ['content-type', 'application/json', 'accept', 'application/json'];
  if (compresses) headers.push('accept-encoding', acceptedCodings);
  const traceparent = currentTraceparent();
  // A health check of the gateway has no context.
  const { forwarded = {} } = context as Partial<SubgraphRequest['context']>;
  for (const name in forwarded)
    if (name !== 'traceparent' || traceparent === undefined) headers.push(name, forwarded[name] ?? '');
  if (traceparent !== undefined) headers.push('traceparent', traceparent);
  return headers;
}

/** @throws GraphQLError or Error if there is no answer in it. */
function responseIn(
  { status, body: bytes, cacheControl }: Answer,
  subgraph: string,
  reader: AnswerReader | undefined,
): SubgraphResponse {
  const isGood = status >= 200 && status < 300;
  const read = isGood ? reader?.fromBytes(bytes) : undefined;
  if (read) return cacheControl === undefined ? { data: read } : { data: read, cacheControl };
  const text = bytes.toString();
  let body: unknown;
  try {
    body = parseExactJson(withoutByteOrderMark(text));
  } catch (error) {
    if (isGood) throw new Error(`The answer is no JSON: ${text.slice(0, 200)}`, { cause: error });
  }
  const refusal = refusalOf(status, subgraph);
  // Also a request that was refused may say why.
  if (isObject(body) && isResponse(body)) {
    const { data, errors } = body as { readonly data?: JsonObject | null; readonly errors?: readonly unknown[] | null };
    return {
      ...(data === undefined ? {} : { data: data && reader ? reader.fromValues(data) : data }),
      ...(errors ? { errors: errorsIn(errors, subgraph, refusal) } : {}),
      ...(cacheControl === undefined ? {} : { cacheControl }),
    };
  }
  if (refusal && refusal.code !== 'UNAVAILABLE') throw errorOfRefusal(refusal);
  throw new Error(`The answer (${status}) is no GraphQL response: ${text.slice(0, 200)}`);
}

/** RFC 8259 (8.1): a reader may ignore it. */
function withoutByteOrderMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function isResponse({ data, errors }: Readonly<Record<string, unknown>>): boolean {
  if (errors !== undefined && errors !== null && !Array.isArray(errors)) return false;
  return isObject(data) || ((data === null || data === undefined) && Array.isArray(errors) && errors.length > 0);
}
