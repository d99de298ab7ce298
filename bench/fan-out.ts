/**
 * (c) Payloads from the gateway to many sockets, beside bare `ws` that broadcasts the same frames. The server is alone on one
 * core; what feeds it and what receives share the other.
 */
import { WebSocket } from 'ws';
import { pause } from '../platform/lifecycle/wait.js';
import { pinToCore, startProgram, type RunningProcess } from './process.js';
import { quantile, ratio, round, type Section } from './section.js';
import { subscribeMany, type Sockets } from './subscribers.js';

interface Audience {
  readonly name: string;
  readonly sockets: number;
  readonly selection: string;
  readonly deviceOf: (index: number) => string;
  /** Whether all are given the same payload at once; else each has its own, one after the other. */
  readonly isShared: boolean;
}

const own = 'cursor state { version metrics { name value at } }';
const audiences: readonly Audience[] = [
  { name: '1,000 identical', sockets: 1_000, selection: own, deviceOf: () => 'device-0', isShared: true },
  {
    name: '1,000 identical, joined with the registry',
    sockets: 1_000,
    selection: `${own} device { name }`,
    ...{ deviceOf: () => 'device-0', isShared: true },
  },
  {
    ...{ name: '1,000 different', sockets: 1_000, selection: own },
    ...{ deviceOf: (index) => `device-${index}`, isShared: false },
  },
];
const idleSockets = 10_000;
/** Payloads of each stream in a round. */
const burst = 10;
const rounds = 13;
const arrivalDeadlineMs = 60_000;
/** The first rounds compile; they are not counted. */
const warmUp = 3;

const program = (name: string): string => new URL(`./peers/${name}.ts`, import.meta.url).pathname;

export async function measureFanOut(): Promise<Section> {
  pinToCore(process.pid, 1);
  const rows: (string | number)[][] = [];
  for (const audience of audiences) {
    const ours = await gatewayFigures(audience);
    const bare = await bareFigures(audience.sockets, ours.frame);
    rows.push([
      audience.name,
      ...[Math.round(ours.framesPerSecond), Math.round(bare.framesPerSecond)],
      ratio(ours.framesPerSecond, bare.framesPerSecond),
      ...[round(ours.cpuMicros), round(bare.cpuMicros), ratio(bare.cpuMicros, ours.cpuMicros)],
      ...[round(quantile(ours.latencies, 0.5)), round(quantile(ours.latencies, 0.99))],
    ]);
  }
  const idle = await idleMemory();
  return {
    title: 'Fan-out of changes',
    method: `The gateway alone on one core, in front of subgraphs that push ${burst} payloads into each open stream, again when all have arrived. Bare \`ws\` on the same core broadcasts the same frames. Receivers and the subgraphs, which put their payloads together by hand and execute nothing, share the other core; the processor time of the server for each frame stands beside. Latency is from when the subgraph makes a payload to the receiver, at half of the rate: identical subscriptions get theirs all at once, different ones one after the other.`,
    columns: [
      ...['sockets', 'fleetgraph frames/s', 'bare ws frames/s', 'of bare ws'],
      ...['fleetgraph CPU µs a frame', 'bare ws CPU µs a frame', 'of bare ws', 'p50 ms', 'p99 ms'],
    ],
    rows,
    notes: `${idleSockets.toLocaleString('en-US')} idle subscriptions on as many sockets: ${round(idle.identical)} kB of resident memory each if they are identical, ${round(idle.different)} kB if each is of another device; a socket of bare \`ws\` takes ${round(idle.bare)} kB.`,
  };
}

interface Server extends AsyncDisposable {
  readonly source: RunningProcess;
  readonly gateway: RunningProcess;
}

async function startGateway(nodeFlags: readonly string[]): Promise<Server> {
  const source = await startProgram(program('stream-source'));
  pinToCore(source.pid, 1);
  const { device = '', actions = '', query = '' } = source.hello;
  const gateway = await startProgram(program('gateway-alone'), {
    args: [device, actions, query],
    nodeFlags: ['--expose-gc', ...nodeFlags],
  });
  pinToCore(gateway.pid, 0);
  return {
    source,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    },
  };
}

async function openAll(
  { gateway }: Server,
  { sockets, selection, deviceOf }: Omit<Audience, 'name' | 'isShared'>,
): Promise<Sockets> {
  return subscribeMany({
    url: `${(gateway.hello['url'] ?? '').replace(/^http/, 'ws')}/graphql`,
    ...{ token: 'any', count: sockets },
    payload: (index) => ({
      query: `subscription S($id: ID!) { deviceState(deviceId: $id) { ${selection} } }`,
      variables: { id: deviceOf(index) },
    }),
    onMessage: () => undefined,
  });
}

async function gatewayFigures(audience: Audience) {
  await using server = await startGateway(['--max-semi-space-size=64']);
  await using sockets = await openAll(server, audience);
  const receiver = receiveOn(sockets.sockets);
  const push = (count: number): void => server.source.send(JSON.stringify({ count }));
  const framesPerSecond = await rate(receiver, audience.sockets, push, rounds);
  const cpuMicros = await cpuOf(server.gateway, async () => rate(receiver, audience.sockets, push, warmUp + 5), {
    frames: audience.sockets * burst * (warmUp + 5),
  });
  const latencies: number[] = [];
  const intervalMs = (audience.sockets / (framesPerSecond / 2)) * 1_000;
  const overMs = audience.isShared ? 0 : intervalMs;
  for (let sent = 0; sent < 100; sent += 1) {
    const startedAt = performance.now();
    await receiver.next(
      audience.sockets,
      () => server.source.send(JSON.stringify({ count: 1, overMs })),
      (frame) => latencies.push(Date.now() - pushedAt(frame)),
    );
    await pause(Math.max(0, intervalMs - (performance.now() - startedAt)));
  }
  return { framesPerSecond, cpuMicros, latencies, frame: receiver.lastFrame() };
}

async function bareFigures(count: number, frame: string) {
  await using bare = await startProgram(program('bare-websocket'));
  pinToCore(bare.pid, 0);
  const sockets = await openBare(bare.hello['url'] ?? '', count);
  const receiver = receiveOn(sockets);
  const push = (times: number): void => {
    for (let time = 0; time < times; time += 1) bare.send(frame);
  };
  const framesPerSecond = await rate(receiver, count, push, rounds);
  const cpuMicros = await cpuOf(bare, async () => rate(receiver, count, push, warmUp + 5), {
    frames: count * burst * (warmUp + 5),
  });
  for (const socket of sockets) socket.terminate();
  return { framesPerSecond, cpuMicros };
}

/** Resident memory of a socket with a silent subscription, in kB. */
async function idleMemory() {
  const ofGateway = async (deviceOf: Audience['deviceOf']): Promise<number> => {
    await using server = await startGateway([]);
    const before = await server.gateway.ask('memory');
    await using _sockets = await openAll(server, { sockets: idleSockets, selection: own, deviceOf });
    const after = await server.gateway.ask('memory');
    return (Number(after['rss']) - Number(before['rss'])) / idleSockets / 1_000;
  };
  const ofBare = async (): Promise<number> => {
    await using bare = await startProgram(program('bare-websocket'), { nodeFlags: ['--expose-gc'] });
    const before = await bare.ask('memory');
    const sockets = await openBare(bare.hello['url'] ?? '', idleSockets);
    const after = await bare.ask('memory');
    for (const socket of sockets) socket.terminate();
    return (Number(after['rss']) - Number(before['rss'])) / idleSockets / 1_000;
  };
  return {
    identical: await ofGateway(() => 'device-0'),
    different: await ofGateway((index) => `device-${index}`),
    bare: await ofBare(),
  };
}

/** When the payload in a frame was made, epoch milliseconds. */
function pushedAt(frame: string): number {
  const from = frame.indexOf('"at":"') + 6;
  return Date.parse(frame.slice(from, frame.indexOf('"', from)));
}

interface Receiver {
  /** Resolves when `count` more frames have arrived after `send`. @throws Error when a socket closes, or some don't come. */
  next(count: number, send: () => void, onFrame?: (frame: string) => void): Promise<void>;
  lastFrame(): string;
}

function receiveOn(sockets: readonly WebSocket[]): Receiver {
  let missing = 0;
  let frame = '';
  let done: () => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  let each: ((frame: string) => void) | undefined;
  for (const socket of sockets) {
    socket.removeAllListeners('message');
    socket.on('message', (data: Buffer) => {
      frame = data.toString();
      each?.(frame);
      missing -= 1;
      if (missing === 0) done();
    });
    socket.once('close', (code, reason) => fail(new Error(`A socket was closed with ${code} ${reason.toString()}.`)));
  }
  return {
    lastFrame: () => frame,
    async next(count, send, onFrame) {
      each = onFrame;
      missing = count;
      const all = new Promise<void>((resolve, reject) => ([done, fail] = [resolve, reject]));
      // What has not come by then never will: the source has nothing to take up a stream from that was broken off.
      const timer = setTimeout(
        () => fail(new Error(`${missing} of ${count} frames have not come.`)),
        arrivalDeadlineMs,
      );
      send();
      await all.finally(() => clearTimeout(timer));
    },
  };
}

/** Frames a second over the rounds. */
async function rate(
  receiver: Receiver,
  sockets: number,
  push: (count: number) => void,
  times: number,
): Promise<number> {
  let total = 0;
  for (let turn = 0; turn < times; turn += 1) {
    const startedAt = performance.now();
    await receiver.next(sockets * burst, () => push(burst));
    if (turn >= warmUp) total += performance.now() - startedAt;
  }
  return (sockets * burst * (times - warmUp) * 1_000) / total;
}

/** Processor time of the server for each frame, microseconds. */
async function cpuOf(
  server: RunningProcess,
  work: () => Promise<unknown>,
  { frames }: { frames: number },
): Promise<number> {
  const used = async (): Promise<number> => {
    const { user, system } = await server.ask('cpu');
    return Number(user) + Number(system);
  };
  const before = await used();
  await work();
  return ((await used()) - before) / frames;
}

async function openBare(url: string, count: number): Promise<WebSocket[]> {
  const sockets: WebSocket[] = [];
  for (let from = 0; from < count; from += 100)
    sockets.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(100, count - from) }, async () => {
          const socket = new WebSocket(url);
          await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
          return socket;
        }),
      )),
    );
  return sockets;
}
