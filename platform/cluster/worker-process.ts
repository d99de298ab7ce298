/** The end of a worker in a pool (worker-pool.ts): it does what the primary says, and is asked how it is. */
import { createIpcCalls } from './ipc-calls.js';
import type { ProcessMetrics } from './summed-metrics.js';

/** What the primary says when it has forked a worker. */
export interface StartOfWorker<Task> {
  /** Of its place in the pool, from 1 on. */
  readonly number: number;
  readonly task: Task;
}

/** All workers together, whichever of them is asked. */
export interface Peers {
  /** Their metrics as those of one process, for Prometheus. */
  readonly metrics: () => Promise<string>;
  /** Rejects with the reason when they can't do their work. */
  readonly ready: () => Promise<void>;
}

export interface RunningWorker {
  readonly port: number;
  ready(): Promise<void>;
  metrics(): Promise<ProcessMetrics>;
  reload(): void;
  /** Resolves when it has drained. */
  stop(): Promise<void>;
}

/** How long the primary may take to ask all workers, milliseconds. */
const peersTimeoutMs = 5_000;

/** Runs this process as a worker until the primary stops it, or is gone. */
export function runWorker<Task>(start: (wish: StartOfWorker<Task>, peers: Peers) => Promise<RunningWorker>): void {
  // A terminal and a service manager send them to every process of a group; the primary says when to stop.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  let running: RunningWorker | undefined;
  const calls = createIpcCalls((message) => process.send?.(message), {
    async start(wish) {
      running = await start(wish as StartOfWorker<Task>, peers);
      return running.port;
    },
    ready: async () => running?.ready(),
    metrics: async () => running?.metrics(),
    reload: () => running?.reload(),
    stop: async () => running?.stop(),
  });
  const peers: Peers = {
    metrics: async () => (await calls.call('metrics', undefined, peersTimeoutMs)) as string,
    async ready() {
      await calls.call('ready', undefined, peersTimeoutMs);
    },
  };
  process.on('message', (message: unknown) => calls.receive(message));
  // What came before its code was loaded is lost: the primary waits for this.
  void calls.call('online');
}
