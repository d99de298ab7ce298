/**
 * Several processes (node:cluster) that do the work of one role behind one port: the primary, this process, accepts connections and
 * gives them to the workers by turns. A worker that dies is replaced, later each time; one that dies again and again ends the program.
 * Only the primary hears signals: it tells the workers to stop and waits until they have drained.
 */
import cluster, { type Worker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../errors.js';
import type { ServiceRole } from '../lifecycle/role.js';
import { pause } from '../lifecycle/wait.js';
import type { Logger } from '../observability/logger.js';
import type { Registry } from '../observability/metrics.js';
import { createIpcCalls, type IpcCalls } from './ipc-calls.js';
import { createRestartPolicy, deathsOfCrashLoop, type RestartPolicy } from './restart-policy.js';
import { createSummedMetrics, metricsOf, type ProcessMetrics } from './summed-metrics.js';
import type { StartOfWorker } from './worker-process.js';

export interface WorkerPool extends ServiceRole {
  /** Has every worker look at once for what has changed. */
  readonly reload: () => void;
  /** Of the workers and this process together, for Prometheus. */
  readonly metrics: () => Promise<string>;
  /** Rejects when a worker dies again and again. */
  readonly failed: Promise<never>;
}

export interface WorkerPoolOptions<Task> {
  /** Of the role. */
  readonly name: string;
  readonly workers: number;
  /** Program of a worker, which calls `runWorker`. TypeScript is run by tsx. */
  readonly script: URL;
  /** What each worker is to do; asked for at the start of each. Must be of structured data. */
  readonly task: () => Task;
  readonly log: Logger;
  /** Those of this process. */
  readonly metrics: Registry;
  /** How long a worker may take to start, and to stop before it is killed. Milliseconds. */
  readonly startTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
}

/** A place in the pool: the workers in it follow each other. */
interface Place {
  /** From 1 on, in the log lines of the worker. */
  readonly number: number;
  readonly policy: RestartPolicy;
  running?: { readonly worker: Worker; readonly calls: IpcCalls; readonly exited: Promise<unknown> };
  /** It has a port. */
  isServing: boolean;
  lastMetrics: ProcessMetrics;
}

/** How long a worker may take to say how it is, milliseconds. */
const answerTimeoutMs = 2_000;

export function createWorkerPool<Task>(options: WorkerPoolOptions<Task>): WorkerPool {
  const { name, log } = options;
  const stopping = new AbortController();
  const summed = createSummedMetrics();
  const places = Array.from({ length: options.workers }, (_unused, index): Place => {
    return { number: index + 1, policy: createRestartPolicy(), isServing: false, lastMetrics: [] };
  });
  let port: number | undefined;
  let hasBeenReady = false;
  let giveUp: (error: Error) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => (giveUp = reject));
  // Not everybody waits for it.
  failed.catch(() => undefined);

  /** Forks a worker and has it start. @throws what it says, or that it died. */
  const start = async (place: Place): Promise<void> => {
    const worker = cluster.fork();
    let beOnline: () => void = () => undefined;
    const online = new Promise<void>((resolve) => (beOnline = resolve));
    const calls = createIpcCalls((message) => worker.send(message), {
      online: () => beOnline(),
      metrics: () => metrics(),
      ready: () => ready(),
    });
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    worker.on('message', (message: unknown) => calls.receive(message));
    // A send to one that has just died; its exit tells.
    worker.on('error', () => undefined);
    worker.once('exit', (code: number, signal: string) => {
      calls.close(new Error(`worker ${place.number} ended (${signal || `code ${code}`})`));
      place.isServing = false;
      delete place.running;
      summed.retire(place.lastMetrics);
      place.lastMetrics = [];
    });
    place.running = { worker, calls, exited };
    const wish: StartOfWorker<Task> = { number: place.number, task: options.task() };
    try {
      await Promise.race([online, exited]);
      port = (await calls.call('start', wish, options.startTimeoutMs)) as number;
    } catch (error) {
      worker.process.kill('SIGKILL');
      await exited;
      throw error;
    }
    place.isServing = true;
  };

  /** Has the place always have a worker, from its first one on. */
  const keep = async (place: Place): Promise<void> => {
    while (!stopping.signal.aborted) {
      await place.running?.exited;
      if (stopping.signal.aborted) return;
      const delayMs = place.policy.died(performance.now());
      if (delayMs === undefined) {
        giveUp(new Error(`Worker ${place.number} of the ${name} died ${deathsOfCrashLoop} times within a minute.`));
        return;
      }
      log.error({ worker: place.number, delayMs }, 'a worker died; another takes its place');
      await pause(delayMs, stopping.signal);
      if (stopping.signal.aborted) return;
      await start(place).then(
        () => log.info({ worker: place.number }, 'the worker was replaced'),
        (error: unknown) => log.error({ worker: place.number, err: error }, 'a worker could not be started'),
      );
    }
  };
  let keeping: readonly Promise<void>[] = [];

  const askAll = <T>(call: string): Promise<readonly PromiseSettledResult<T>[]> =>
    Promise.allSettled(
      places.map(async ({ running, isServing, number }) => {
        if (!running || !isServing) throw new Error(`worker ${number} is not started`);
        return (await running.calls.call(call, undefined, answerTimeoutMs)) as T;
      }),
    );

  const ready = async (): Promise<void> => {
    if (stopping.signal.aborted) throw new Error('stopping');
    const outcomes = await askAll<undefined>('ready');
    const faults = outcomes.filter((outcome) => outcome.status === 'rejected');
    if (faults.length === 0) hasBeenReady = true;
    // Those that are ready have the connections, or will: one that is replaced takes nothing from the others.
    if (faults.length > 0 && !(hasBeenReady && faults.length < outcomes.length))
      throw new Error(messageOf(faults[0]?.reason));
  };

  const metrics = async (): Promise<string> => {
    const outcomes = await askAll<ProcessMetrics>('metrics');
    for (const [index, outcome] of outcomes.entries()) {
      const place = places[index];
      // Of one that does not answer in time: as it was.
      if (place?.running && outcome.status === 'fulfilled') place.lastMetrics = outcome.value;
    }
    return summed.text([await metricsOf(options.metrics), ...places.map(({ lastMetrics }) => lastMetrics)]);
  };

  const end = async ({ running }: Place): Promise<void> => {
    if (!running) return;
    const { worker, calls, exited } = running;
    const late = setTimeout(() => worker.process.kill('SIGKILL'), options.shutdownTimeoutMs);
    await calls.call('stop').catch(() => undefined);
    // Ends a worker that listens nowhere any more.
    if (worker.isConnected()) worker.process.disconnect();
    await exited;
    clearTimeout(late);
  };

  return {
    name,
    failed,
    metrics,
    ready,
    port() {
      if (port === undefined) throw new Error(`The ${name} has no port before it has started.`);
      return port;
    },
    async start() {
      cluster.setupPrimary({
        exec: fileURLToPath(options.script),
        args: [],
        execArgv: nodeFlags(options.script),
        serialization: 'advanced',
      });
      const [first, ...others] = places;
      // One says what is wrong with the settings; and on port 0, where the others are to listen.
      if (first) await start(first);
      await Promise.all(others.map(start));
      keeping = places.map(keep);
      log.info({ workers: places.length, port }, `the workers of the ${name} are listening`);
    },
    reload() {
      for (const { running } of places) running?.calls.call('reload').catch(() => undefined);
    },
    async stop() {
      stopping.abort();
      await Promise.all(places.map(end));
      await Promise.all(keeping);
    },
  };
}

/** Those of this process, so that a worker has the same heap; and a loader of TypeScript if the program needs one. */
function nodeFlags(script: URL): string[] {
  const own = process.execArgv;
  const loads = !script.pathname.endsWith('.ts') || own.some((flag) => flag.includes('tsx'));
  return loads ? [...own] : [...own, '--import', import.meta.resolve('tsx')];
}
