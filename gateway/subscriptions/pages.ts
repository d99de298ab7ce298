/**
 * What a client of a stream catches up with: what is, or what came behind its cursor, a page at a time
 * (platform/graphql/stream-contract.ts). Those who ask for the same page at the same time share it.
 */
import type { StreamMark } from '../../platform/graphql/stream-contract.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { GatewayContext } from '../request-context.js';
import { InOrder, type Work } from './in-order.js';
import type { StreamPayload } from './payload.js';
import { createSharedReads } from './shared-reads.js';
import { isInterruption, StreamInterrupted } from './stream-interrupted.js';
import type { UpstreamSink } from './upstream-connection.js';
import type { EventFrame } from './event-frame.js';

export interface Page {
  readonly payloads: readonly StreamPayload[];
  readonly mark: StreamMark['mark'];
}

export interface PageQuestion {
  readonly context: GatewayContext;
  readonly since: string | undefined;
  /** `next` of the mark of the page before; the first page if undefined. */
  readonly page: string | undefined;
}

export interface Pages {
  /** Reads a page, however often the way to the subgraph breaks: where it begins, the page says itself. */
  read(question: PageQuestion): Promise<Page>;
  /** What is being read is of no use to anybody. */
  stop(): void;
}

export interface PagesOptions {
  /** Asks the subgraph. @returns a function that leaves it. */
  readonly subscribe: (question: PageQuestion, sink: UpstreamSink) => () => void;
  /** What is to be done for an event to have its payload. */
  readonly workFor: (event: EventFrame, context: GatewayContext) => Work<StreamPayload>;
  readonly maxExecuting: number;
  /** How long a page is asked for again, milliseconds. */
  readonly retryForMs: number;
}

export function createPages(options: PagesOptions): Pages {
  const reads = createSharedReads<Page>();
  const reading = new AbortController();

  const readOnce = (question: PageQuestion): Promise<Page> =>
    new Promise((resolve, reject) => {
      const payloads: StreamPayload[] = [];
      let mark: StreamMark['mark'] | undefined;
      const ordered = new InOrder<StreamPayload>({
        // A page has an end: what waits is bounded by it.
        maxRunning: options.maxExecuting,
        maxWaiting: Infinity,
        deliver: (payload) => payloads.push(payload),
      });
      const leave = options.subscribe(question, {
        next(event) {
          if (event.stream?.mark) mark = event.stream.mark;
          else ordered.add(options.workFor(event, question.context));
        },
        end(error) {
          reading.signal.removeEventListener('abort', abort);
          ordered.settled().then(() => {
            if (error) reject(error);
            else if (mark) resolve({ payloads, mark });
            else reject(new StreamInterrupted(new Error('the subgraph ended a page without a mark')));
          }, reject);
        },
      });
      const abort = (): void => {
        leave();
        reject(new StreamInterrupted(new Error('nobody wants the page any more')));
      };
      reading.signal.addEventListener('abort', abort, { once: true });
    });

  const read = async (question: PageQuestion): Promise<Page> => {
    const startedAt = performance.now();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await readOnce(question);
      } catch (error) {
        const isTooLate = performance.now() - startedAt > options.retryForMs;
        if (!isInterruption(error) || reading.signal.aborted || isTooLate) throw error;
        await pause(20 + backoffMs(attempt, 50, 2_000), reading.signal);
      }
    }
  };

  return {
    read(question) {
      const { since, page, context } = question;
      const key = JSON.stringify([since, page, context.forwarded['x-fleetgraph-consistency']]);
      return reads.read(key, () => read(question));
    },
    stop: () => reading.abort(),
  };
}
