/**
 * (f) Workers of the gateway: one process beside two behind one port. Load, subgraphs and gateway share the cores of the machine, so what
 * counts is how many requests the gateway answers for each second of processor time that its processes had, the primary among them.
 */
import autocannon from 'autocannon';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { heavyQuery, supergraphOf, twoSubgraphsQuery } from './federation/shop.js';
import { cpuMsOf, startProgram, type RunningProcess } from './process.js';
import { round, type Section } from './section.js';

/** So many that each worker always has some in hand: one that waits takes more processor time for each. */
const connections = 128;
/** Processor time that each process of the gateway has had before it is measured: on busy cores it takes longer to be compiled. */
const warmUpMs = 6_000;
/** Short turns, and many: a machine that grows faster or slower does so for both. */
const seconds = 2;
const turns = 10;
const queries = { heavy: heavyQuery, 'two subgraphs': twoSubgraphsQuery };
const counts = [1, 2] as const;

/** Of one run: requests, and milliseconds of processor time. */
interface Figures {
  readonly requests: number;
  readonly wallMs: number;
  readonly gatewayMs: number;
  readonly subgraphsMs: number;
  readonly loadMs: number;
  /** Of the gateway's, that of the process that had most. */
  readonly busiestMs: number;
  readonly p99: number;
}

export async function measureWorkers(): Promise<Section> {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-workers-'));
  await using subgraphs = await startProgram(program('federation/subgraphs'));
  const file = join(directory, 'supergraph.graphql');
  await writeFile(file, supergraphOf(subgraphs.hello['url'] ?? ''));
  const figures = new Map<string, Figures[]>();
  const url = (gateway: RunningProcess): string => gateway.hello['url'] ?? '';
  await using one = await startGateway(file, 1);
  await using two = await startGateway(file, 2);
  const gateways = [
    { count: 1, url: url(one), pids: [one.pid], workers: [one.pid] },
    { count: 2, url: url(two), pids: [two.pid, ...childrenOf(two.pid)], workers: childrenOf(two.pid) },
  ];
  for (const [name, query] of Object.entries(queries)) {
    for (const { workers, url } of gateways) await warmUp(workers, () => load(url, query));
    for (let turn = 0; turn < turns; turn += 1) {
      for (const { count, url, pids } of gateways) {
        const measured = await measure({ gateway: pids, subgraphs: subgraphs.pid }, () => load(url, query));
        const key = `${count}\n${name}`;
        figures.set(key, [...(figures.get(key) ?? []), measured]);
      }
    }
  }
  await rm(directory, { recursive: true, force: true });
  const of = (count: number, name: string): Figures => total(figures.get(`${count}\n${name}`) ?? []);
  return {
    title: 'Workers of the gateway',
    method: `\`fleetgraph gateway\` as one process, and as two workers and their primary behind one port, in front of the four subgraphs of the section before, whose answers are kept. ${connections} connections, each with an \`authorization\` of its own, so that no two requests share anything; ${turns} turns of ${seconds} s each, after each process has had ${warmUpMs / 1_000} s of processor time to warm up for the query; sums. Nothing is bound to a core: gateway, subgraphs and load share ${availableParallelism()}. So requests a second are those of all three together, and two workers can't have two cores for themselves here. What they would do there follows from the requests for each second of processor time of the gateway's processes, which holds what the second worker costs: the primary, plans made twice, memory shared by two cores. "On cores of their own" is that times the number of workers, beside one worker.`,
    columns: [
      '',
      'requests/s',
      'gateway CPU ms',
      'subgraphs CPU ms',
      'load CPU ms',
      'load and subgraphs, of all CPU',
      'cores the gateway had',
      'busiest process, of it',
      'requests per core-second',
      'of one process',
      'on cores of their own',
      'p99 ms',
    ],
    rows: Object.keys(queries).flatMap((name) =>
      counts.map((count) => {
        const [measured, one] = [of(count, name), of(1, name)];
        const { requests, gatewayMs, subgraphsMs, loadMs, wallMs } = measured;
        const efficiency = requests / gatewayMs / (one.requests / one.gatewayMs);
        return [
          `${name}, ${count === 1 ? 'one process' : `${count} workers`}`,
          round((requests / wallMs) * 1_000),
          ...[gatewayMs, subgraphsMs, loadMs].map((ms) => round(ms / requests, 3)),
          `${Math.round(((subgraphsMs + loadMs) / (gatewayMs + subgraphsMs + loadMs)) * 100)} %`,
          round(gatewayMs / wallMs, 2),
          `${Math.round((measured.busiestMs / gatewayMs) * 100)} %`,
          round((requests / gatewayMs) * 1_000),
          `${Math.round(efficiency * 100)} %`,
          `${round(efficiency * count, 2)} ×`,
          round(measured.p99),
        ];
      }),
    ),
  };
}

function startGateway(supergraphFile: string, count: number): Promise<RunningProcess> {
  return startProgram(program('peers/gateway-workers'), {
    args: [supergraphFile, String(count)],
    // As `npm start` sets it.
    nodeFlags: ['--max-semi-space-size=32'],
  });
}

const program = (name: string): string => new URL(`./${name}.ts`, import.meta.url).pathname;

async function warmUp(pids: readonly number[], run: () => Promise<unknown>): Promise<void> {
  const before = pids.map(cpuMsOf);
  do await run();
  while (pids.some((pid, index) => cpuMsOf(pid) - (before[index] ?? 0) < warmUpMs));
}

async function measure(
  { gateway, subgraphs }: { readonly gateway: readonly number[]; readonly subgraphs: number },
  run: () => Promise<autocannon.Result>,
): Promise<Figures> {
  const times = () => ({
    gateway: gateway.map(cpuMsOf),
    subgraphs: cpuMsOf(subgraphs),
    load: cpuMsOf(process.pid),
    wall: performance.now(),
  });
  const before = times();
  const { requests, latency } = await run();
  const after = times();
  const ofEach = after.gateway.map((ms, index) => ms - (before.gateway[index] ?? 0));
  return {
    requests: requests.total,
    wallMs: after.wall - before.wall,
    gatewayMs: ofEach.reduce((sum, ms) => sum + ms, 0),
    busiestMs: Math.max(...ofEach),
    subgraphsMs: after.subgraphs - before.subgraphs,
    loadMs: after.load - before.load,
    p99: latency.p99,
  };
}

function total(all: readonly Figures[]): Figures {
  const of = (key: keyof Figures) => all.reduce((sum, one) => sum + one[key], 0);
  return {
    requests: of('requests'),
    wallMs: of('wallMs'),
    gatewayMs: of('gatewayMs'),
    busiestMs: of('busiestMs'),
    subgraphsMs: of('subgraphsMs'),
    loadMs: of('loadMs'),
    p99: of('p99') / all.length,
  };
}

async function load(url: string, query: string): Promise<autocannon.Result> {
  let clients = 0;
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    method: 'POST',
    body: JSON.stringify({ query }),
    setupClient(client) {
      clients += 1;
      client.setHeaders({ 'content-type': 'application/json', authorization: `Bearer client-${clients}` });
    },
  });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${url}: ${result.non2xx} not 2xx, ${result.errors} errors`);
  return result;
}

/** Pids of the processes that it has forked; none where there is no /proc. */
function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}
