/**
 * One POST to an endpoint that may be slow, hostile or gone. Bounds: `timeoutMs` from the resolution of the name to the end
 * of the response, `maxResponseBytes` of its body (the rest is not read), no redirect, 16 kB of headers (Node.js).
 * A connection is kept for the next attempt; its address was checked when it was made.
 */
import http from 'node:http';
import https from 'node:https';
import { codeOf, messageOf } from '../../../../platform/errors.js';
import type { AddressGuard } from './address-guard.js';

export interface PostResult {
  /** Status of the response; undefined if there was none. */
  readonly status: number | undefined;
  /** Why there was no response, or why it does not count; undefined for a status of 200 to 299. */
  readonly error: string | undefined;
  /** `retry-after` in milliseconds, if the endpoint asks for it in seconds. */
  readonly retryAfterMs: number | undefined;
  readonly latencyMs: number;
}

export interface Poster {
  /**
   * Posts the body. Never rejects but with the reason of `signal`, when that is aborted.
   */
  post(
    url: string,
    message: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
    signal: AbortSignal,
  ): Promise<PostResult>;
  /** Closes the connections that are kept. */
  close(): void;
}

export const maxResponseBytes = 65_536;

type Answer = Pick<PostResult, 'status' | 'retryAfterMs'>;

export function createPoster(options: { guard: AddressGuard; timeoutMs: number }): Poster {
  const { guard, timeoutMs } = options;
  const agentOptions = { keepAlive: true, maxFreeSockets: 256, timeout: 30_000 };
  const agents = { 'http:': new http.Agent(agentOptions), 'https:': new https.Agent(agentOptions) };

  const attempt = (
    url: URL,
    message: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
    signal: AbortSignal,
  ): Promise<Answer | 'stale'> =>
    new Promise((resolve, reject) => {
      const isTls = url.protocol === 'https:';
      const request = (isTls ? https : http).request(url, {
        method: 'POST',
        lookup: guard.lookup,
        signal,
        agent: isTls ? agents['https:'] : agents['http:'],
        headers: { ...message.headers, 'content-length': Buffer.byteLength(message.body) },
      });
      let answer: Answer | undefined;
      request.on('error', (error) => {
        // What the status said holds, whatever becomes of the body.
        if (answer !== undefined) resolve(answer);
        // The endpoint closed a kept connection while we were about to use it (Node.js, `request.reusedSocket`).
        else if (request.reusedSocket && codeOf(error) === 'ECONNRESET' && !signal.aborted) resolve('stale');
        else reject(error);
      });
      request.on('response', (response) => {
        const got = { status: response.statusCode, retryAfterMs: retryAfterMs(response.headers['retry-after']) };
        answer = got;
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxResponseBytes) request.destroy();
        });
        response.on('close', () => resolve(got));
        response.on('error', () => resolve(got));
      });
      request.end(message.body);
    });

  return {
    async post(address, message, signal) {
      const url = new URL(address);
      const startedAt = performance.now();
      const result = (status: number | undefined, error: string | undefined, after?: number): PostResult => ({
        status,
        error,
        retryAfterMs: after,
        latencyMs: Math.round(performance.now() - startedAt),
      });
      // An address is connected to without being looked up.
      const refused = guard.refusal(url.hostname);
      if (refused !== undefined) return result(undefined, `${url.hostname} ${refused}`);
      const over = new AbortController();
      const end = () => over.abort();
      const deadline = setTimeout(end, timeoutMs);
      signal.addEventListener('abort', end);
      try {
        signal.throwIfAborted();
        let answer = await attempt(url, message, over.signal);
        if (answer === 'stale') answer = await attempt(url, message, over.signal);
        if (answer === 'stale') return result(undefined, 'the connection was closed before there was a response');
        return result(answer.status, faultOf(answer.status), answer.retryAfterMs);
      } catch (error) {
        signal.throwIfAborted();
        return result(undefined, over.signal.aborted ? `no response within ${timeoutMs} ms` : messageOf(error));
      } finally {
        clearTimeout(deadline);
        signal.removeEventListener('abort', end);
      }
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

function faultOf(status: number | undefined): string | undefined {
  if (status === undefined) return 'a response without a status';
  if (status >= 200 && status < 300) return undefined;
  if (status >= 300 && status < 400) return `HTTP status ${status}: redirects are not followed; change the URL`;
  return `HTTP status ${status}`;
}

function retryAfterMs(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) * 1_000 : undefined;
}
