/**
 * (e) Federated queries: the gateway next to plain ApolloGateway and Hive Gateway, each alone on one core in
 * front of the same subgraphs, which share the other core with the load. Each connection of the load is a
 * caller with a bearer of its own, so that no request can be shared with another one; what sharing adds is a
 * row of its own.
 */
import autocannon from 'autocannon';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileProgram, startDeployedGateway, type DeployedProgram } from './deployed-gateway.js';
import { startHive } from './federation/hive.js';
import { heavyQuery, oneSubgraphQuery, supergraphOf, twoSubgraphsQuery } from './federation/shop.js';
import { cpuMsOf, pinToCore, startProgram, type RunningProcess } from './process.js';
import { round, type Section } from './section.js';

const connections = 50;
const warmUpSeconds = 4;
const seconds = 6;
const rounds = 2;
const queries = { heavy: heavyQuery, 'one subgraph': oneSubgraphQuery, 'two subgraphs': twoSubgraphsQuery };
type QueryName = keyof typeof queries;

interface Peer {
  readonly name: string;
  /** Whether all connections are one caller. */
  readonly isOneCaller?: boolean;
  start(supergraphFile: string): Promise<AsyncDisposable & { readonly url: string; readonly pid: number }>;
}

const program = (name: string): string => new URL(`./${name}.ts`, import.meta.url).pathname;
const ours =
  (...mode: string[]) =>
  async (file: string) =>
    addressed(await startProgram(program('peers/federated-executor'), { args: [file, ...mode], nodeFlags: heapFlags }));
const whole =
  (...mode: string[]) =>
  async (file: string) =>
    addressed(await startProgram(program('peers/federated-gateway'), { args: [file, ...mode], nodeFlags: heapFlags }));
/** As `npm start` sets it. */
const heapFlags = ['--max-semi-space-size=32'];

const peersOf = (deployed: DeployedProgram): readonly Peer[] => [
  {
    name: 'plain ApolloGateway',
    start: async (file) => addressed(await startProgram(program('peers/federated-apollo'), { args: [file] })),
  },
  { name: 'Hive Gateway', start: (file) => startHive(file, 'javascript') },
  { name: 'Hive Gateway, Rust planner', start: (file) => startHive(file, 'rust') },
  { name: 'fleetgraph gateway', start: (file) => startDeployedGateway(deployed, file) },
  { name: 'fleetgraph, its executor behind the HTTP server of Node.js', start: ours('apart') },
  { name: 'fleetgraph gateway, subgraphs in its process', start: whole('in-process') },
  {
    name: 'fleetgraph gateway, equal requests of one caller share',
    isOneCaller: true,
    start: (file) => startDeployedGateway(deployed, file),
  },
];

interface Figures {
  perSecond: number;
  cpuMs: number;
  p50: number;
  p99: number;
}

export async function measureFederation(): Promise<Section> {
  pinToCore(process.pid, 1);
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-federation-'));
  await using subgraphs = await startProgram(program('federation/subgraphs'));
  pinToCore(subgraphs.pid, 1);
  await using deployed = compileProgram();
  const peers = peersOf(deployed);
  const file = join(directory, 'supergraph.graphql');
  await writeFile(file, supergraphOf(subgraphs.hello['url'] ?? ''));
  const figures = new Map<string, Figures[]>();
  const facts = new Map<string, { requests: number; peakMiB: number }>();
  const answers = new Map<QueryName, string>();
  for (let turn = 0; turn < rounds; turn += 1) {
    for (const peer of peers) {
      await using gateway = await peer.start(file);
      pinToCore(gateway.pid, 0);
      for (const name of Object.keys(queries) as QueryName[]) {
        const data = await ask(gateway.url, queries[name]);
        if (data !== (answers.get(name) ?? data))
          throw new Error(`${peer.name} answers the query "${name}" otherwise.`);
        answers.set(name, data);
        if (name === 'heavy')
          facts.set(peer.name, { requests: await countRequests(subgraphs, gateway.url), peakMiB: 0 });
        await load(gateway.url, queries[name], warmUpSeconds, peer);
        const before = cpuMsOf(gateway.pid);
        const { requests, latency } = await load(gateway.url, queries[name], seconds, peer);
        const key = `${peer.name}\n${name}`;
        const cpuMs = (cpuMsOf(gateway.pid) - before) / requests.total;
        const round = { perSecond: requests.average, cpuMs, p50: latency.p50, p99: latency.p99 };
        figures.set(key, [...(figures.get(key) ?? []), round]);
        if (name === 'heavy')
          facts.set(peer.name, { requests: facts.get(peer.name)?.requests ?? 0, peakMiB: peakMiBOf(gateway.pid) });
      }
    }
  }
  await rm(directory, { recursive: true, force: true });
  const of = (peer: string, query: QueryName): Figures => mean(figures.get(`${peer}\n${query}`) ?? []);
  const base = of('plain ApolloGateway', 'heavy');
  return {
    title: 'Federated queries',
    method: `The query of the published federation benchmarks (four subgraphs, ${Math.round((answers.get('heavy') ?? '').length / 1_000)} kB of answer) and two small ones. Each gateway alone on one core; the subgraphs, whose answers are kept, and ${connections} connections of load on the other. Each connection is a caller with a bearer of its own, which is sent on, so that nothing can be shared between requests, except in the last row. ${rounds} rounds by turns of ${seconds} s after ${warmUpSeconds} s of warm-up; means. "fleetgraph gateway" is the command with its default settings, as the image has it; the executor is the part of it that plans and joins; in its process, subgraphs keep their answers, too. All answers were compared and are equal.`,
    columns: [
      '',
      'heavy/s',
      'of ApolloGateway',
      'CPU ms',
      'p50 ms',
      'p99 ms',
      'requests to subgraphs',
      'peak MiB',
      'one subgraph/s',
      'CPU ms',
      'two subgraphs/s',
      'CPU ms',
    ],
    rows: peers.map(({ name }) => {
      const [heavy, one, two] = [of(name, 'heavy'), of(name, 'one subgraph'), of(name, 'two subgraphs')];
      const { requests = 0, peakMiB = 0 } = facts.get(name) ?? {};
      return [
        ...[name, round(heavy.perSecond), `${round(heavy.perSecond / base.perSecond)} ×`, round(heavy.cpuMs, 2)],
        ...[round(heavy.p50), round(heavy.p99), requests, peakMiB],
        ...[Math.round(one.perSecond), round(one.cpuMs, 3), Math.round(two.perSecond), round(two.cpuMs, 3)],
      ];
    }),
  };
}

function addressed(running: RunningProcess) {
  return { ...running, url: running.hello['url'] ?? '' };
}

async function ask(url: string, query: string): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  const { data, errors } = (await response.json()) as { data?: unknown; errors?: unknown };
  if (errors !== undefined) throw new Error(`${url} answers ${JSON.stringify(errors)}`);
  return JSON.stringify(sorted(data));
}

/** Fields in one order, whatever the gateway's is. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}

async function countRequests(subgraphs: RunningProcess, url: string): Promise<number> {
  await subgraphs.ask('count');
  await ask(url, heavyQuery);
  return (await subgraphs.ask('count'))['requests'] as number;
}

async function load(
  url: string,
  query: string,
  duration: number,
  { isOneCaller = false }: Peer,
): Promise<autocannon.Result> {
  let callers = 0;
  const result = await autocannon({
    url,
    connections,
    duration,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
    setupClient(client) {
      if (!isOneCaller) callers += 1;
      client.setHeaders({ 'content-type': 'application/json', authorization: `Bearer caller-${callers}` });
    },
  });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${url}: ${result.non2xx} not 2xx, ${result.errors} errors`);
  return result;
}

function peakMiBOf(pid: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(procFile(pid, 'status'))?.[1]) / 1_024);
}

function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

function mean(figures: readonly Figures[]): Figures {
  const of = (key: keyof Figures) => figures.reduce((sum, one) => sum + one[key], 0) / figures.length;
  return { perSecond: of('perSecond'), cpuMs: of('cpuMs'), p50: of('p50'), p99: of('p99') };
}
