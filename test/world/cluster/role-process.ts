/** One role in a process of its own, with every address that it listens on known before it starts. */
import type { RoleName } from '../../../platform/config/config.js';
import type { CliProcess } from '../cli.js';
import { runDeployedCli } from '../deployed-cli.js';
import { eventually, within } from '../eventually.js';

export interface RoleProcess {
  readonly role: RoleName;
  readonly name: string;
  /** Where its port is: GraphQL of the subgraphs and the gateway, HTTP ingest of the bridge. */
  readonly url: string;
  /** Of the broker in a bridge. */
  readonly mqttUrl: string;
  start(): void;
  /** Answer of `/readyz` of the whole process; undefined while nothing listens. */
  readiness(): Promise<{ readonly status: number; readonly body: string } | undefined>;
  /** Resolves when `/readyz` says 200. @throws with its log when it has ended. */
  ready(timeoutMs?: number): Promise<void>;
  /** Its metrics, in the text format of Prometheus. */
  metrics(): Promise<string>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves to the exit code, or the signal that ended it. */
  stop(): Promise<number | NodeJS.Signals>;
  isRunning(): boolean;
  /** What all of its runs have printed. */
  output(): string;
}

export function createRoleProcess(options: {
  readonly role: RoleName;
  readonly index: number;
  readonly ports: { readonly service: number; readonly operations: number; readonly mqtt: number };
  readonly env: Readonly<Record<string, string>>;
}): RoleProcess {
  const { role, ports } = options;
  const name = `${role}-${options.index}`;
  const env = {
    ...options.env,
    FLEETGRAPH_INSTANCE: name,
    OPERATIONS_PORT: String(ports.operations),
    MQTT_PORT: String(ports.mqtt),
    [`${role.toUpperCase()}_PORT`]: String(ports.service),
  };
  let current: CliProcess | undefined;
  let earlier = '';
  const isRunning = (): boolean =>
    current !== undefined && current.child.exitCode === null && current.child.signalCode === null;
  const end = async (signal: NodeJS.Signals): Promise<number | NodeJS.Signals> => {
    if (!current) return 0;
    current.child.kill(signal);
    return within(current.exited, 40_000, `ending ${name}`);
  };
  const output = (): string => `${earlier}${current?.output() ?? ''}`;
  const readiness = async (): Promise<{ status: number; body: string } | undefined> => {
    try {
      const response = await fetch(`http://127.0.0.1:${ports.operations}/readyz`, {
        signal: AbortSignal.timeout(5_000),
      });
      return { status: response.status, body: await response.text() };
    } catch {
      return undefined;
    }
  };
  return {
    role,
    name,
    url: `http://127.0.0.1:${ports.service}`,
    mqttUrl: `mqtt://127.0.0.1:${ports.mqtt}`,
    start() {
      if (isRunning()) throw new Error(`${name} runs already.`);
      earlier = output();
      current = runDeployedCli(['start', '--roles', role], env);
    },
    readiness,
    async ready(timeoutMs = 60_000) {
      const state = await eventually(async () => {
        if (!isRunning()) return 'ended';
        const answer = await readiness();
        if (answer?.status !== 200)
          throw new Error(`${name} is not ready: ${answer?.body ?? 'no answer'}\n${output()}`);
        return 'ready';
      }, timeoutMs);
      if (state === 'ended') throw new Error(`${name} has ended:\n${output()}`);
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${ports.operations}/metrics`)).text(),
    async kill() {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    isRunning,
    output,
  };
}
