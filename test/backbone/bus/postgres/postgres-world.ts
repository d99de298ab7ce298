import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Registry } from 'prom-client';
import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { createPostgresBus, type PostgresBusOptions } from '../../../../backbone/bus/postgres/postgres-bus.js';
import { createPool } from '../../../../platform/database/pool.js';
import { createDatabase, silentLog, type TestDatabase } from '../../../world/database.js';
import { within } from '../../../world/eventually.js';
import type { BusWorld } from '../contract.js';

const program = fileURLToPath(new URL('./consumer-process.ts', import.meta.url));

export interface PostgresBusWorld extends BusWorld {
  readonly database: TestDatabase;
  /** An instance with a pool and metrics of its own. Closed with the world. */
  createBus(settings?: Partial<PostgresBusOptions>): Promise<EventBus>;
}

/** Buses on a database of their own. Leases are short, so that tests of takeover are. */
export async function createPostgresBusWorld(leaseTtlMs = 2_000): Promise<PostgresBusWorld> {
  const database = await createDatabase();
  const closers: (() => Promise<void>)[] = [];
  return {
    database,
    takeoverMs: leaseTtlMs + 1_000,
    async createBus(settings = {}) {
      const pool = createPool({ url: database.url, size: 5, applicationName: 'bus', log: silentLog });
      const bus = createPostgresBus({
        pool,
        databaseUrl: database.url,
        log: silentLog,
        metrics: new Registry(),
        leaseTtlMs,
        ...settings,
      });
      closers.push(async () => {
        await bus.close();
        await pool.end();
      });
      return bus;
    },
    async startConsumerProcess(group, topic) {
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', program, database.url, group, topic, String(leaseTtlMs)],
        { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } },
      );
      const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      let output = '';
      const says = (line: string): Promise<void> =>
        new Promise((resolve, reject) => {
          const look = (): void => {
            if (output.includes(line)) resolve();
          };
          child.stdout.on('data', look);
          child.once('exit', () => reject(new Error(`the process ended before it said "${line}"`)));
        });
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const holdsBatch = says('holds a batch');
      holdsBatch.catch(() => undefined);
      const kill = async (): Promise<void> => {
        child.kill('SIGKILL');
        await exited;
      };
      closers.push(kill);
      await within(says('joined'), 30_000, 'starting the consumer process');
      return { holdsBatch, kill };
    },
    async [Symbol.asyncDispose]() {
      for (const close of closers) await close();
      await database[Symbol.asyncDispose]();
    },
  };
}
