/**
 * fleetgraph as it runs in production: each role a process of its own, any number of each, one PostgreSQL, tokens of an
 * issuer elsewhere. Settings go to every process, so that Kafka, an MQTT broker or an edge are more of them.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { inject } from 'vitest';
import { roleNames, type RoleName } from '../../../platform/config/config.js';
import { createPool } from '../../../platform/database/pool.js';
import { silentLog } from '../database.js';
import { freePort } from '../free-port.js';
import { createTestIssuer, type TestIssuer } from '../identity.js';
import { createRoleProcess, type RoleProcess } from './role-process.js';
import { startTcpGate, type TcpGate } from './tcp-gate.js';

export interface Cluster extends AsyncDisposable {
  /** Every process, in the order of roles. */
  readonly processes: readonly RoleProcess[];
  /** The processes of a role. */
  all(role: RoleName): readonly RoleProcess[];
  /** The `index`th process of a role, from 0. */
  one(role: RoleName, index?: number): RoleProcess;
  /** Between every process and PostgreSQL. */
  readonly databaseGate: TcpGate;
  /** Past the gate, for the test to look. */
  readonly pool: pg.Pool;
  readonly token: TestIssuer['token'];
  /** Starts what does not run, all at once, and resolves when all are ready. */
  startAll(): Promise<void>;
}

export interface ClusterOptions {
  /** How many processes of each role; one where nothing is said. */
  readonly counts?: Readonly<Partial<Record<RoleName, number>>>;
  /** Settings of every process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A database without a table, since the first process to come migrates it. */
async function createEmptyDatabase(): Promise<{ url: URL; drop(): Promise<void> }> {
  const maintenance = inject('postgresUrl');
  const name = `cluster_${randomBytes(6).toString('hex')}`;
  const run = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: maintenance });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await run(`CREATE DATABASE ${name} TEMPLATE template0`);
  return {
    url: new URL(maintenance.replace(/\/postgres$/, `/${name}`)),
    drop: () => run(`DROP DATABASE ${name} WITH (FORCE)`),
  };
}

/** The issuer's keys over HTTP, as identity providers serve them. */
async function serveKeys({ issuer }: TestIssuer): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(issuer.jwks));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Resolves when each of them is ready. @throws AggregateError that names every one that is not, with its log. */
export async function allReady(processes: readonly RoleProcess[]): Promise<void> {
  const settled = await Promise.allSettled(processes.map((started) => started.ready(150_000)));
  const failures = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
  if (failures.length > 0) throw new AggregateError(failures, failures.map(({ message }) => message).join('\n\n'));
}

/** Makes a cluster, on an empty database; no process runs yet. Dispose of it in `afterAll`. */
export async function createCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const closers: (() => PromiseLike<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    const database = await createEmptyDatabase();
    closers.push(() => database.drop());
    const pool = createPool({ url: database.url.href, size: 4, applicationName: 'test', log: silentLog });
    closers.push(() => pool.end());
    const databaseGate = await startTcpGate({ host: database.url.hostname, port: Number(database.url.port) });
    closers.push(() => databaseGate[Symbol.asyncDispose]());
    const gatedUrl = new URL(database.url);
    gatedUrl.host = `127.0.0.1:${databaseGate.port}`;
    const issuer = await createTestIssuer();
    const keys = await serveKeys(issuer);
    closers.push(() => keys.close());
    const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-cluster-'));
    closers.push(() => rm(directory, { recursive: true, force: true }));

    const countOf = (role: RoleName) => options.counts?.[role] ?? 1;
    const slots = await Promise.all(
      roleNames
        .flatMap((role) => Array.from({ length: countOf(role) }, (_unused, index) => ({ role, index })))
        .map(async (slot) => ({
          ...slot,
          ports: { service: await freePort(), operations: await freePort(), mqtt: await freePort() },
        })),
    );
    // Each gateway has its own of the subgraphs, as long as there are enough of them.
    const subgraphUrls = (index: number): Record<string, string> =>
      Object.fromEntries(
        slots
          .filter(({ role }) => ['device', 'actions', 'query'].includes(role))
          .filter((slot) => slot.index === index % countOf(slot.role))
          .map(({ role, ports }) => [`${role.toUpperCase()}_URL`, `http://127.0.0.1:${ports.service}/graphql`]),
      );
    const processes = slots.map(({ role, index, ports }) =>
      createRoleProcess({
        role,
        index,
        ports,
        env: {
          NODE_ENV: 'production',
          LOG_LEVEL: 'info',
          FLEETGRAPH_HOST: '127.0.0.1',
          FLEETGRAPH_DATA_DIR: directory,
          DATABASE_URL: gatedUrl.href,
          DATABASE_POOL_SIZE: '3',
          JWKS_URL: keys.url,
          JWT_ISSUER: 'https://issuer.test',
          JWT_AUDIENCE: 'fleetgraph',
          ...subgraphUrls(index),
          ...options.env,
        },
      }),
    );
    // A test run that is broken off disposes of nothing.
    const abandon = (): void => {
      for (const started of processes) void started.kill();
    };
    process.on('exit', abandon).on('disconnect', abandon);
    closers.push(async () => {
      await Promise.all(processes.map((started) => started.kill()));
      process.off('exit', abandon).off('disconnect', abandon);
    });
    const all = (role: RoleName) => processes.filter((process) => process.role === role);
    return {
      processes,
      all,
      one(role, index = 0) {
        const found = all(role)[index];
        if (!found) throw new Error(`There is no ${role}-${index}.`);
        return found;
      },
      databaseGate,
      pool,
      token: (...claims) => issuer.token(...claims),
      async startAll() {
        for (const process of processes) if (!process.isRunning()) process.start();
        await allReady(processes);
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
