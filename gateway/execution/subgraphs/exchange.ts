/** One request over HTTP and its answer, whole, within a time; tried once more, where it may be, if the way there broke. */
import type { Dispatcher } from 'undici';
import { decode } from './content-coding.js';

export interface ExchangeRequest {
  readonly path: string;
  /** Names and values by turns. */
  readonly headers: string[];
  readonly body: string;
  /** For all attempts together. */
  readonly timeoutMs: number;
  /** Whether it does no harm to send it twice. */
  readonly mayRepeat: boolean;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** The header. */
  readonly cacheControl: string | undefined;
}

export interface Cancellable<T> {
  readonly promise: Promise<T>;
  /** Nobody waits for it any more: the promise rejects, and what is under way ends. */
  readonly cancel: () => void;
}

/** A longer answer is given up, compressed or not: it would take the memory that others need. */
const maxAnswerBytes = 67_108_864;

export function exchange(client: Dispatcher, request: ExchangeRequest): Cancellable<Answer> {
  let cancel: () => void = () => undefined;
  const promise = new Promise<Answer>((resolve, reject) => {
    let isOver = false;
    let attempts = 0;
    let controller: Dispatcher.DispatchController | undefined;
    const end = (): void => {
      isOver = true;
      clearTimeout(timer);
    };
    const fail = (error: Error): void => {
      if (isOver) return;
      end();
      controller?.abort(error);
      reject(error);
    };
    const repeat = (): boolean => {
      if (isOver || !request.mayRepeat || attempts > 1) return false;
      send();
      return true;
    };
    const send = (): void => {
      attempts += 1;
      let status = 0;
      let cacheControl: string | undefined;
      let coding: string | undefined;
      let size = 0;
      const chunks: Buffer[] = [];
      const { path, headers, body } = request;
      client.dispatch(
        { path, method: 'POST', headers, body, headersTimeout: 0, bodyTimeout: 0 },
        {
          onRequestStart(started) {
            controller = started;
            if (isOver) started.abort(new Error('It is over.'));
          },
          onResponseStart(_controller, code, headers) {
            status = code;
            cacheControl = listIn(headers['cache-control']);
            coding = listIn(headers['content-encoding']);
          },
          onResponseData(_controller, chunk) {
            size += chunk.length;
            if (size > maxAnswerBytes) fail(new Error(`The answer is longer than ${maxAnswerBytes} bytes.`));
            else chunks.push(chunk);
          },
          onResponseEnd() {
            if (isOver || (isFromTheWay(status) && repeat())) return;
            const [first] = chunks;
            const whole = chunks.length === 1 && first ? first : Buffer.concat(chunks);
            const answer = (body: Buffer): void => {
              end();
              resolve({ status, body, cacheControl });
            };
            if (coding === undefined) answer(whole);
            else decode(whole, coding, maxAnswerBytes).then(answer, fail);
          },
          onResponseError(_controller, error) {
            if (!repeat()) fail(error);
          },
        },
      );
    };
    const timer = setTimeout(
      () => fail(new Error(`There was no answer within ${request.timeoutMs} ms.`)),
      request.timeoutMs,
    );
    cancel = () => fail(new Error('Nobody waits for the answer any more.'));
    send();
  });
  return { promise, cancel };
}

/** A header that is a list, and may be given on several lines. */
function listIn(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header;
}

/** Statuses that proxies answer with when what is behind them is away. */
function isFromTheWay(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}
