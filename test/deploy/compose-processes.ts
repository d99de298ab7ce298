/** The roles of docker-compose.yml as processes on this machine, with the settings that they have there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CliProcess } from '../world/cli.js';
import { runDeployedCli } from '../world/deployed-cli.js';
import { createDatabase } from '../world/database.js';
import { eventually } from '../world/eventually.js';
import { freePort } from '../world/free-port.js';
import { roleServices } from './deploy-world.js';

const listening = ['device', 'actions', 'query', 'gateway', 'bridge'] as const;

export interface ComposeProcesses extends AsyncDisposable {
  readonly gatewayUrl: string;
  readonly bridgeUrl: string;
  /** A token as `docker compose exec gateway fleetgraph token` prints it. */
  token(): Promise<string>;
  /** Sends SIGTERM to every role at once. @returns their exit codes. */
  terminate(): Promise<readonly (number | NodeJS.Signals)[]>;
}

/**
 * Starts every role and waits until all are ready. Names of services become addresses of this machine; Kafka and EMQX are
 * left out, so that the bus is in PostgreSQL and the broker in the bridge.
 */
export async function startComposeProcesses(): Promise<ComposeProcesses> {
  const database = await createDatabase();
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-roles-'));
  const services = roleServices();
  const ports: number[] = [];
  for (let count = listening.length + services.length + 1; count > 0; count -= 1) ports.push(await freePort());
  const portOf = (role: (typeof listening)[number]) => ports[listening.indexOf(role)] ?? 0;
  const onThisMachine = (text: string) =>
    listening.reduce(
      (value, role) => value.replace(new RegExp(`http://${role}:\\d+`), `http://127.0.0.1:${portOf(role)}`),
      text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1').replaceAll(/\$\{(\w+):\?[^}]*\}/g, 'secret-of-24-characters'),
    );
  const environmentOf = (name: string, environment: Readonly<Record<string, string | number>>, index: number) => ({
    ...Object.fromEntries(
      Object.entries(environment)
        .filter(([key]) => !/^(KAFKA_|MQTT_(URL|USERNAME|PASSWORD))/.test(key))
        .map(([key, value]) => [key, onThisMachine(String(value))]),
    ),
    ...Object.fromEntries(listening.map((role) => [`${role.toUpperCase()}_PORT`, String(portOf(role))])),
    DATABASE_URL: database.url,
    DATABASE_POOL_SIZE: '3',
    FLEETGRAPH_HOST: '127.0.0.1',
    FLEETGRAPH_DATA_DIR: join(directory, name),
    MQTT_PORT: String(ports.at(-1)),
    OPERATIONS_PORT: String(ports[listening.length + index]),
  });
  const environments = services.map(({ name, service }, index) =>
    environmentOf(name, service.environment ?? {}, index),
  );
  const processes: readonly CliProcess[] = services.map(({ service }, index) =>
    runDeployedCli(service.command ?? [], environments[index] ?? {}),
  );
  const stopAll = async () => {
    for (const { child } of processes) child.kill('SIGKILL');
    await Promise.all(processes.map(({ exited }) => exited));
    await rm(directory, { recursive: true, force: true });
    await database[Symbol.asyncDispose]();
  };
  try {
    for (const [index, process] of processes.entries())
      await eventually(async () => {
        if (process.child.exitCode !== null)
          throw new Error(`${services[index]?.name ?? ''} ended: ${process.output()}`);
        const address = `http://127.0.0.1:${environments[index]?.OPERATIONS_PORT ?? ''}/readyz`;
        const response = await fetch(address);
        if (!response.ok) throw new Error(`${services[index]?.name ?? ''}: ${await response.text()}`);
      }, 80_000);
  } catch (error) {
    await stopAll();
    throw error;
  }
  return {
    gatewayUrl: `http://127.0.0.1:${portOf('gateway')}`,
    bridgeUrl: `http://127.0.0.1:${portOf('bridge')}`,
    async token() {
      const gateway = services.findIndex(({ name }) => name === 'gateway');
      const printing = runDeployedCli(['token', '--tenant', 'acme'], environments[gateway] ?? {});
      await printing.exited;
      return printing.output().trim();
    },
    async terminate() {
      for (const { child } of processes) child.kill('SIGTERM');
      return Promise.all(processes.map(({ exited }) => exited));
    },
    [Symbol.asyncDispose]: stopAll,
  };
}
