/**
 * The real Traefik with the very files of deploy/traefik, in a process of its own. Only what can't be the same on a machine
 * that others use is changed: the addresses that it listens on, and where the files lie.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { eventually } from '../eventually.js';
import { freePort } from '../free-port.js';
import { findTraefik } from './traefik-binary.js';

export const traefikFolder = fileURLToPath(new URL('../../../deploy/traefik/', import.meta.url));

export interface TraefikOptions {
  /** Roots of the gateways and bridges behind it. */
  readonly gateways: readonly string[];
  readonly bridges?: readonly string[];
  /** More variables for the dynamic file, e.g. TRAEFIK_DASHBOARD_USERS. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Which static file; default traefik.yml. */
  readonly file?: StaticFile;
  /** Addresses of proxies to be trusted, beside those of the static file: those of tests are on this machine. */
  readonly trust?: readonly string[];
  /** Texts of the dynamic files to be replaced, each of which must be there. */
  readonly replace?: Readonly<Record<string, string>>;
}

export type StaticFile = 'traefik.yml' | 'traefik.tls.yml' | 'traefik.behind-proxy.yml';

export interface Traefik extends AsyncDisposable {
  /** Root of what is public. */
  readonly url: string;
  /** Root of an entry point, by its name in the static file. */
  entryPoint(name: string): string;
  /** Of its process. */
  readonly pid: number;
  /** What it has logged so far. */
  log(): string;
  /** Entries of the access log so far. */
  requests(): Readonly<Record<string, unknown>>[];
  /** What `traefik healthcheck` says: resolves when it is content. */
  healthcheck(): Promise<void>;
  /** SIGTERM; resolves when it is gone. */
  stop(): Promise<void>;
}

interface StaticConfiguration {
  readonly entryPoints: Record<
    string,
    { address: string; asDefault?: boolean; forwardedHeaders?: { trustedIPs: string[] } }
  >;
}

/** Starts it and waits until it has read its routes and knows which backends are well. Ended with SIGKILL when disposed of. */
export async function startTraefik(options: TraefikOptions): Promise<Traefik> {
  const program = findTraefik();
  if (program === undefined) throw new Error('There is no Traefik. Guard the test with hasTraefik().');
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-traefik-'));
  const { ports, main } = await prepareFiles(directory, options);
  const configFile = `--configFile=${join(directory, 'static.yml')}`;
  const child = spawn(program, [configFile], {
    env: {
      GATEWAY_URLS: options.gateways.join(','),
      BRIDGE_URLS: (options.bridges ?? options.gateways).join(','),
      ...options.environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
  // Not left behind when the test's process ends before it could.
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  const scheme = options.file === 'traefik.tls.yml' ? 'https' : 'http';
  const entryPoint = (name: string): string => `http://127.0.0.1:${ports.get(name)}`;
  const traefik: Traefik = {
    url: `${scheme}://127.0.0.1:${ports.get(main)}`,
    entryPoint,
    pid: child.pid ?? 0,
    log: () => log,
    requests: () =>
      log
        .split('\n')
        .filter((line) => line.includes('"RequestPath"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    async healthcheck() {
      await promisify(execFile)(program, ['healthcheck', configFile]);
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
    async [Symbol.asyncDispose]() {
      end();
      await exited;
      process.off('exit', end);
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    // It runs on without its routes when their file is at fault.
    const fault = (): Error | undefined =>
      child.exitCode !== null || log.includes('Error while building configuration')
        ? new Error(`Traefik has failed: ${log}`)
        : undefined;
    await eventually(async () => {
      if (fault()) return;
      const ping = await fetch(`${entryPoint('internal')}/ping`);
      const routed = await fetch(`${entryPoint('internal')}/auth/verify`);
      // 404: the routes aren't read yet. 401 comes from a gateway, 503 from Traefik when there is none.
      if (!ping.ok || routed.status === 404) throw new Error(`Traefik is not ready: ${routed.status} ${log}`);
    });
    const failed = fault();
    if (failed) throw failed;
    return traefik;
  } catch (error) {
    await traefik[Symbol.asyncDispose]();
    throw error;
  }
}

async function prepareFiles(
  directory: string,
  { file = 'traefik.yml', replace = {}, trust = [] }: TraefikOptions,
): Promise<{ ports: Map<string, number>; main: string }> {
  const configuration = parse(await readFile(join(traefikFolder, file), 'utf8')) as StaticConfiguration;
  const ports = new Map<string, number>();
  let main = '';
  const replacements = new Map(Object.entries(replace));
  for (const [name, entryPoint] of Object.entries(configuration.entryPoints)) {
    ports.set(name, await freePort());
    // Another part of the configuration names it: the address that ForwardAuth asks, the port that a redirection leads to.
    if (name === 'internal') replacements.set(entryPoint.address, `127.0.0.1:${ports.get(name)}`);
    entryPoint.address = `127.0.0.1:${ports.get(name)}`;
    entryPoint.forwardedHeaders?.trustedIPs.push(...trust);
    if (entryPoint.asDefault === true) main = name;
  }
  const names = file === 'traefik.tls.yml' ? ['dynamic.yml', 'dynamic.tls.yml'] : ['dynamic.yml'];
  await mkdir(join(directory, 'dynamic'));
  const unused = new Set(replacements.keys());
  for (const name of names) {
    let text = await readFile(join(traefikFolder, name), 'utf8');
    for (const [wanted, instead] of replacements) {
      if (text.includes(wanted)) unused.delete(wanted);
      text = text.replaceAll(wanted, instead);
    }
    await writeFile(join(directory, 'dynamic', name), text);
  }
  if (unused.size > 0) throw new Error(`${names.join(' and ')} have no ${[...unused].join(', ')}.`);
  const source = { directory: join(directory, 'dynamic') };
  await writeFile(join(directory, 'static.yml'), stringify({ ...configuration, providers: { file: source } }));
  return { ports, main };
}
