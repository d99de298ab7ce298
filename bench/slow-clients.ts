/** What clients that read nothing cost: memory of the gateway, and time of those who do read; and what becomes of them. */
import type { WebSocket } from 'ws';
import { pause } from '../platform/lifecycle/wait.js';
import { pinToCore } from './process.js';
import { quantile, round, type Section } from './section.js';
import { pushedAt, startStreamingGateway, type StreamingGateway } from './streaming-gateway.js';
import { subscribeMany } from './subscribers.js';

const readers = 100;
const slow = 20;
/** More than the kernel's buffers of both ends hold, and than the gateway keeps for one client; in less time than it takes to be given up as silent. */
const payloads = 1_000;
const perSecond = 60;
const paddingCharacters = 12_000;
/** Without a frame for so long a client has got all that it gets. */
const quietMs = 2_000;

const kinds = [
  {
    name: 'state (`deviceState`)',
    query:
      'subscription S($id: ID!) { deviceState(deviceId: $id) { cursor state { version metrics { name value at } } } }',
  },
  {
    name: 'stream (`telemetry`)',
    query: 'subscription S($id: ID!) { telemetry(deviceId: $id) { cursor readings { metric value at } } }',
  },
] as const;

export async function measureSlowClients(): Promise<Section> {
  pinToCore(process.pid, 1);
  const rows: (string | number)[][] = [];
  for (const { name, query } of kinds) rows.push([name, ...(await figuresOf(query))]);
  return {
    title: 'Clients that read nothing',
    method: `The gateway alone on one core; ${readers} clients of one subscription that read, ${perSecond} payloads of ${paddingCharacters / 1_000} kB a second each; then beside them ${slow} that read nothing while ${payloads.toLocaleString('en-US')} payloads come, more than the buffers of the kernel hold, and then all that is there for them. Memory is what the gateway has more of, in its heap and outside of it, for each of those.`,
    columns: [
      ...['subscription', 'p50 ms', 'p99 ms', 'p50 ms beside them', 'p99 ms beside them'],
      ...['kB for each that reads nothing', 'what they get when they read again'],
    ],
    rows,
  };
}

async function figuresOf(query: string): Promise<readonly (string | number)[]> {
  await using server = await startStreamingGateway([]);
  const latencies: number[] = [];
  const open = async (count: number, onMessage: (text: string, index: number) => void) =>
    subscribeMany({
      url: server.webSocketUrl,
      token: 'any',
      count,
      onMessage,
      payload: () => ({ query, variables: { id: 'device-0' } }),
    });
  await using _reading = await open(readers, (frame) => latencies.push(Date.now() - pushedAt(frame)));
  await push(server, 3 * perSecond);
  latencies.length = 0;
  await push(server, 10 * perSecond);
  const alone = latencies.splice(0);
  const before = await memoryOf(server);

  const frames: string[][] = Array.from({ length: slow }, () => []);
  let lastAt: number;
  await using lagging = await open(slow, (frame, index) => {
    lastAt = performance.now();
    frames[index]?.push(frame.length > 1_000 ? 'payload' : frame);
  });
  for (const socket of lagging.sockets) socket.pause();
  latencies.length = 0;
  await push(server, payloads);
  const after = await memoryOf(server);
  const beside = latencies.splice(0);
  for (const socket of lagging.sockets) socket.resume();
  lastAt = performance.now();
  while (performance.now() - lastAt < quietMs) await pause(100);
  return [
    ...[round(quantile(alone, 0.5)), round(quantile(alone, 0.99))],
    ...[round(quantile(beside, 0.5)), round(quantile(beside, 0.99))],
    Math.round((after - before) / slow / 1_000),
    outcomeOf(frames, lagging.sockets),
  ];
}

async function push({ source }: StreamingGateway, count: number): Promise<void> {
  const startedAt = performance.now();
  for (let sent = 0; sent < count; sent += 1) {
    source.send(JSON.stringify({ count: 1, padding: paddingCharacters }));
    await pause(Math.max(0, startedAt + ((sent + 1) * 1_000) / perSecond - performance.now()));
  }
}

async function memoryOf({ gateway }: StreamingGateway): Promise<number> {
  const { heapUsed, external } = await gateway.ask('memory');
  return Number(heapUsed) + Number(external);
}

function outcomeOf(frames: readonly (readonly string[])[], sockets: readonly WebSocket[]): string {
  const given = frames.map((of) => of.filter((frame) => frame === 'payload').length);
  const lagged = frames.filter((of) =>
    of.some((frame) => frame.includes('LAGGED') && frame.includes('"cursor"')),
  ).length;
  const open = sockets.filter(({ readyState, OPEN }) => readyState === OPEN).length;
  const range = `${Math.min(...given)} to ${Math.max(...given)} payloads`;
  if (lagged > 0) return `${range} of ${payloads}, then \`LAGGED\` with a cursor (${lagged} of ${sockets.length})`;
  return open === sockets.length
    ? `${range} of ${payloads}, and they go on`
    : `${range} of ${payloads}; ${sockets.length - open} of ${sockets.length} were given up as silent`;
}
