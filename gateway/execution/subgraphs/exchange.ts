/** One request over HTTP and its answer, whole, within a time; tried once more, where it may be, if the way there broke. */
import type { Dispatcher } from 'undici';
import type { CancelSignal } from '../cancellation.js';
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
  /** Aborted when nobody waits any more: the promise rejects, and what is under way ends. */
  readonly signal: CancelSignal | undefined;
  /** Called once, before the promise settles. */
  readonly onEnd: () => void;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** The header. */
  readonly cacheControl: string | undefined;
}

/** A longer answer is given up, compressed or not: it would take the memory that others need. */
const maxAnswerBytes = 67_108_864;

/** Rejects if there is no answer in time, or nobody waits for it. */
export function exchange(client: Dispatcher, request: ExchangeRequest): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => new Exchange(client, request, resolve, reject).begin());
}

/** A class, so that a request makes one object and not a closure for each event. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #client: Dispatcher;
  readonly #request: ExchangeRequest;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: Error) => void;
  readonly #cancel = (): void => this.#fail(new Error('Nobody waits for the answer any more.'));
  #timer: NodeJS.Timeout | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #attempts = 0;
  #isOver = false;
  #status = 0;
  #cacheControl: string | undefined;
  #coding: string | undefined;
  #size = 0;
  #chunks: Buffer[] = [];

  constructor(
    client: Dispatcher,
    request: ExchangeRequest,
    resolve: (answer: Answer) => void,
    reject: (error: Error) => void,
  ) {
    this.#client = client;
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    const { signal, timeoutMs } = this.#request;
    if (signal?.aborted === true) {
      this.#cancel();
      return;
    }
    signal?.addEventListener('abort', this.#cancel);
    this.#timer = setTimeout(expire, timeoutMs, this);
    this.#send();
  }

  expire(): void {
    this.#fail(new Error(`There was no answer within ${this.#request.timeoutMs} ms.`));
  }

  onRequestStart(started: Dispatcher.DispatchController): void {
    this.#controller = started;
    if (this.#isOver) started.abort(new Error('It is over.'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#status = status;
    this.#cacheControl = listIn(headers['cache-control']);
    this.#coding = listIn(headers['content-encoding']);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > maxAnswerBytes) this.#fail(new Error(`The answer is longer than ${maxAnswerBytes} bytes.`));
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#isOver || (isFromTheWay(this.#status) && this.#repeat())) return;
    const chunks = this.#chunks;
    const [first] = chunks;
    const whole = chunks.length === 1 && first ? first : Buffer.concat(chunks);
    if (this.#coding === undefined) this.#answer(whole);
    else
      decode(whole, this.#coding, maxAnswerBytes).then(
        (body) => this.#answer(body),
        (error: unknown) => this.#fail(error as Error),
      );
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.#repeat()) this.#fail(error);
  }

  #send(): void {
    this.#attempts += 1;
    this.#size = 0;
    this.#chunks = [];
    const { path, headers, body } = this.#request;
    this.#client.dispatch({ path, method: 'POST', headers, body, headersTimeout: 0, bodyTimeout: 0 }, this);
  }

  #repeat(): boolean {
    if (this.#isOver || !this.#request.mayRepeat || this.#attempts > 1) return false;
    this.#send();
    return true;
  }

  #answer(body: Buffer): void {
    if (this.#isOver) return;
    this.#end();
    this.#resolve({ status: this.#status, body, cacheControl: this.#cacheControl });
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#end();
    this.#controller?.abort(error);
    this.#reject(error);
  }

  #end(): void {
    this.#isOver = true;
    this.#request.onEnd();
    clearTimeout(this.#timer);
    this.#request.signal?.removeEventListener('abort', this.#cancel);
  }
}

function expire(late: Exchange): void {
  late.expire();
}

/** A header that is a list, and may be given on several lines. */
function listIn(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header;
}

/** Statuses that proxies answer with when what is behind them is away. */
function isFromTheWay(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}
