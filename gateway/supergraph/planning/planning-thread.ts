/**
 * A thread with a planner of its own (planning-worker.ts). It is given one operation at a time, so that it is known which one it
 * ends with; a thread that ends, or does not answer, is replaced, and the operations that waited go to the next one.
 */
import { GraphQLError, type GraphQLErrorExtensions } from 'graphql';
import { Worker } from 'node:worker_threads';
import { FleetgraphError } from '../../../platform/errors.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { PlannedOperation } from '../plan-operation.js';
import { PlanningTimeout, planningTimeoutError } from '../planning-deadline.js';

export interface PlanningQuestion {
  readonly supergraphSdl: string;
  /** The operation with its fragments. */
  readonly text: string;
  readonly operationName: string | undefined;
  readonly overrides: readonly string[];
}

/** To the worker. */
export interface PlanningRequest extends Omit<PlanningQuestion, 'supergraphSdl'> {
  /** Which of the supergraphs that the worker holds. */
  readonly slot: number;
  /** SDL for the slot, if the worker does not have it there yet. */
  readonly supergraphSdl: string | undefined;
  readonly timeoutMs: number;
}

/** From the worker. */
export type PlanningReply =
  | { readonly planned: PlannedOperation }
  | {
      readonly error: {
        readonly message: string;
        /** Of a GraphQLError; undefined: it is a defect. */
        readonly extensions: GraphQLErrorExtensions | undefined;
        readonly isTimeout: boolean;
      };
    };

interface Job {
  readonly question: PlanningQuestion;
  readonly resolve: (planned: PlannedOperation) => void;
  readonly reject: (error: Error) => void;
}

/** Operations that may wait for the thread. */
const maxWaiting = 1_000;
/** The current supergraph and the one that is to come. */
const slots = 2;
/** What building a supergraph and everything but the planner may take beside the time to plan. */
const watchdogMs = 60_000;
/** An operation that takes more memory than this ends its thread, and not the process. */
const maxHeapMiB = 1_024;

/** TypeScript is run by tsx, which has to be registered in each thread. */
function createWorker(): Worker {
  const options = { execArgv: [], resourceLimits: { maxOldGenerationSizeMb: maxHeapMiB } };
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./planning-worker.js', import.meta.url), options);
  const [tsx, program] = [import.meta.resolve('tsx/esm/api'), new URL('./planning-worker.ts', import.meta.url).href];
  const load = `import(${JSON.stringify(tsx)}).then(({ register }) => { register(); return import(${JSON.stringify(program)}); });`;
  return new Worker(load, { ...options, eval: true });
}

export class PlanningThread {
  readonly #timeoutMs: number;
  readonly #log: Logger;
  readonly #waiting: Job[] = [];
  #current: Job | undefined;
  #worker: Worker | undefined;
  /** What the worker holds, by slot; used last, first. */
  #held: { readonly slot: number; readonly supergraphSdl: string }[] = [];
  #watchdog: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor({ timeoutMs, log }: { readonly timeoutMs: number; readonly log: Logger }) {
    this.#timeoutMs = timeoutMs;
    this.#log = log;
  }

  /** Rejects with GraphQLError BAD_USER_INPUT if there is no plan, or not in time; UNAVAILABLE if too many wait. */
  plan(question: PlanningQuestion): Promise<PlannedOperation> {
    if (this.#isClosed || this.#waiting.length >= maxWaiting)
      return Promise.reject(
        new FleetgraphError('UNAVAILABLE', 'Too many new operations wait to be planned. Send it again later.'),
      );
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const error = new FleetgraphError(
      'UNAVAILABLE',
      'The gateway is stopping. Send the request again: another answers.',
    );
    for (const job of this.#waiting.splice(0)) job.reject(error);
    this.#current?.reject(error);
    this.#current = undefined;
    await this.#dismiss();
  }

  #next(): void {
    if (this.#current) return;
    const job = this.#waiting.shift();
    if (!job) return;
    this.#current = job;
    const worker = (this.#worker ??= this.#start());
    const { supergraphSdl, ...question } = job.question;
    const { slot, isHeld } = this.#slotFor(supergraphSdl);
    const request: PlanningRequest = {
      ...question,
      slot,
      supergraphSdl: isHeld ? undefined : supergraphSdl,
      timeoutMs: this.#timeoutMs,
    };
    this.#watchdog = setTimeout(() => this.#lost(worker, 'it does not answer'), this.#timeoutMs + watchdogMs);
    this.#watchdog.unref();
    worker.postMessage(request);
  }

  #start(): Worker {
    const worker = createWorker();
    worker.unref();
    worker.on('message', (reply: PlanningReply) => this.#answered(worker, reply));
    worker.on('error', (error) => this.#lost(worker, error.message));
    worker.on('exit', (code) => this.#lost(worker, `it ended with code ${code}`));
    return worker;
  }

  #slotFor(supergraphSdl: string): { readonly slot: number; readonly isHeld: boolean } {
    const known = this.#held.find((each) => each.supergraphSdl === supergraphSdl);
    const used = this.#held.length < slots ? this.#held.length : (this.#held.at(-1)?.slot ?? 0);
    const now = known ?? { slot: used, supergraphSdl };
    this.#held = [now, ...this.#held.filter(({ slot }) => slot !== now.slot)];
    return { slot: now.slot, isHeld: known !== undefined };
  }

  #answered(worker: Worker, reply: PlanningReply): void {
    const job = this.#current;
    if (worker !== this.#worker || !job) return;
    clearTimeout(this.#watchdog);
    this.#current = undefined;
    if ('planned' in reply) job.resolve(reply.planned);
    else {
      const { message, extensions, isTimeout } = reply.error;
      if (isTimeout) job.reject(planningTimeoutError(new PlanningTimeout(this.#timeoutMs)));
      else job.reject(extensions ? new GraphQLError(message, { extensions }) : new Error(message));
    }
    this.#next();
  }

  /** The operation that it was about is taken to be the reason, and not tried again. */
  #lost(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    const job = this.#current;
    clearTimeout(this.#watchdog);
    this.#current = undefined;
    void this.#dismiss();
    if (!this.#isClosed) this.#log.warn({ reason }, 'a planning thread was lost and is replaced');
    job?.reject(planningTimeoutError(new PlanningTimeout(this.#timeoutMs)));
    this.#next();
  }

  async #dismiss(): Promise<void> {
    clearTimeout(this.#watchdog);
    const worker = this.#worker;
    this.#worker = undefined;
    this.#held = [];
    await worker?.terminate();
  }
}
