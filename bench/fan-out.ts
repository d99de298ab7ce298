/**
 * (c) Payloads from the gateway to many sockets, beside bare `ws` that broadcasts the same frames. The server is alone on one
 * core; what feeds it and what receives share the other.
 */
import { WebSocket } from 'ws';
import { pause } from '../platform/lifecycle/wait.js';
import { pinToCore, startProgram, type RunningProcess } from './process.js';
import { quantile, ratio, round, type Section } from './section.js';
import { pushedAt, startStreamingGateway, type StreamingGateway } from './streaming-gateway.js';
import { startStreamingHive, startStreamingMercurius, type StreamingPeer } from './streaming-peers.js';
import { subscribeMany, type Sockets } from './subscribers.js';

interface Audience {
  readonly name: string;
  readonly sockets: number;
  readonly selection: string;
  readonly deviceOf: (index: number) => string;
  /** Whether all are given the same payload at once; else each has its own, one after the other. */
  readonly isShared: boolean;
  /** What part of the rate of bare `ws` it is to reach. */
  readonly target: number;
}

const own = 'cursor state { version metrics { name value at } }';
const audiences: readonly Audience[] = [
  { name: '1,000 identical', sockets: 1_000, selection: own, deviceOf: () => 'device-0', isShared: true, target: 0.7 },
  {
    name: '1,000 identical, joined with the registry',
    sockets: 1_000,
    selection: `${own} device { name }`,
    deviceOf: () => 'device-0',
    isShared: true,
    target: 0.7,
  },
  {
    name: '1,000 different',
    sockets: 1_000,
    selection: own,
    deviceOf: (index) => `device-${index}`,
    isShared: false,
    target: 0.25,
  },
];
const idleSockets = 10_000;
const memoryReadings = 7;
const memoryPauseMs = 4_000;
/** Payloads of each stream in a round. */
const burst = 10;
const rounds = 13;
const arrivalDeadlineMs = 60_000;
/** Between two payloads while its sockets are opened. */
const peerPushMs = 1_000;
/** In which a peer sends what is still on its way. */
const peerSettleMs = 2_000;
/** The first rounds compile; they are not counted. */
const warmUp = 3;

const program = (name: string): string => new URL(`./peers/${name}.ts`, import.meta.url).pathname;

export async function measureFanOut(): Promise<Section> {
  pinToCore(process.pid, 1);
  const rows: (string | number)[][] = [];
  for (const audience of audiences) {
    const ours = await gatewayFigures(audience);
    const bare = await bareFigures(audience.sockets, ours.frame);
    const hive = await peerFramesPerSecond(startStreamingHive, audience);
    const mercurius = await peerFramesPerSecond(startStreamingMercurius, audience);
    const atTarget = await latenciesAt(audience, (audience.target * bare.framesPerSecond) / 2);
    rows.push([
      audience.name,
      ...[Math.round(ours.framesPerSecond), Math.round(bare.framesPerSecond)],
      ratio(ours.framesPerSecond, bare.framesPerSecond),
      ...[hive, mercurius].map(
        (peer) => `${Math.round(peer).toLocaleString('en-US')} (${ratio(peer, bare.framesPerSecond)})`,
      ),
      ...[round(ours.cpuMicros), round(bare.cpuMicros), ratio(bare.cpuMicros, ours.cpuMicros)],
      ...[round(quantile(ours.latencies, 0.5)), round(quantile(ours.latencies, 0.99))],
      `${round(quantile(atTarget, 0.99))} (${audience.target * 100} %)`,
    ]);
  }
  const idle = await idleMemory();
  return {
    title: 'Fan-out of changes',
    method: `The gateway alone on one core, in front of subgraphs that push ${burst} payloads into each open stream, again when all have arrived. Bare \`ws\` on the same core broadcasts the same frames; Hive Gateway and Mercurius' gateway, there too, have the same streams of the same subgraph. Receivers and the subgraphs, which put their payloads together by hand and execute nothing, share the other core; the processor time of the server for each frame stands beside. Latency is from when the subgraph makes a payload to the receiver, at half of the rate, and at half of what the target is (a part of the rate of bare \`ws\`): identical subscriptions get theirs all at once, different ones one after the other.`,
    columns: [
      ...['sockets', 'fleetgraph frames/s', 'bare ws frames/s', 'of bare ws'],
      ...['Hive Gateway frames/s', 'Mercurius frames/s'],
      ...['fleetgraph CPU µs a frame', 'bare ws CPU µs a frame', 'of bare ws', 'p50 ms', 'p99 ms'],
      'p99 ms at half of the target',
    ],
    rows,
    notes: `${idleSockets.toLocaleString('en-US')} idle subscriptions on as many sockets: ${round(idle.identical)} kB of resident memory each if they are identical, ${round(idle.different)} kB if each is of another device; a socket of bare \`ws\` takes ${round(idle.bare)} kB. Of all three the lowest of ${memoryReadings} readings counts, ${memoryPauseMs / 1_000} s apart, with the garbage collected, before and after.`,
  };
}

async function openAll(
  { webSocketUrl }: Pick<StreamingGateway, 'webSocketUrl'>,
  { sockets, selection, deviceOf }: Pick<Audience, 'sockets' | 'selection' | 'deviceOf'>,
): Promise<Sockets> {
  return subscribeMany({
    url: webSocketUrl,
    token: 'any',
    count: sockets,
    payload: (index) => ({
      query: `subscription S($id: ID!) { deviceState(deviceId: $id) { ${selection} } }`,
      variables: { id: deviceOf(index) },
    }),
    onMessage: () => undefined,
  });
}

async function gatewayFigures(audience: Audience) {
  await using server = await startStreamingGateway(['--max-semi-space-size=32']);
  await using sockets = await openAll(server, audience);
  const receiver = receiveOn(sockets.sockets);
  const push = (count: number): void => server.source.send(JSON.stringify({ count }));
  const framesPerSecond = await rate(receiver, audience.sockets, push, rounds);
  const cpuMicros = await cpuOf(server.gateway, async () => rate(receiver, audience.sockets, push, warmUp + 5), {
    frames: audience.sockets * burst * (warmUp + 5),
  });
  const latencies = await latenciesOf(server, receiver, audience, framesPerSecond / 2);
  return { framesPerSecond, cpuMicros, latencies, frame: receiver.lastFrame() };
}

/** Of a gateway of its own, once it is warm. */
async function latenciesAt(audience: Audience, framesPerSecond: number): Promise<readonly number[]> {
  await using server = await startStreamingGateway(['--max-semi-space-size=32']);
  await using sockets = await openAll(server, audience);
  const receiver = receiveOn(sockets.sockets);
  await rate(receiver, audience.sockets, (count) => server.source.send(JSON.stringify({ count })), warmUp + 1);
  return await latenciesOf(server, receiver, audience, framesPerSecond);
}

/** Milliseconds from the subgraph to the receiver, at so many frames a second. */
async function latenciesOf(
  { source }: StreamingGateway,
  receiver: Receiver,
  audience: Audience,
  framesPerSecond: number,
): Promise<readonly number[]> {
  const latencies: number[] = [];
  const intervalMs = (audience.sockets / framesPerSecond) * 1_000;
  const overMs = audience.isShared ? 0 : intervalMs;
  for (let sent = 0; sent < 100; sent += 1) {
    const startedAt = performance.now();
    await receiver.next(
      audience.sockets,
      () => source.send(JSON.stringify({ count: 1, overMs })),
      (frame) => latencies.push(Date.now() - pushedAt(frame)),
    );
    await pause(Math.max(0, intervalMs - (performance.now() - startedAt)));
  }
  return latencies;
}

/** The same subgraph's streams through another gateway. */
async function peerFramesPerSecond(start: () => Promise<StreamingPeer>, audience: Audience): Promise<number> {
  await using server = await start();
  // Where a stream is shared without a snapshot, who comes second gets nothing until something happens.
  const happening = setInterval(() => server.source.send('{"count":1}'), peerPushMs);
  await using sockets = await openAll(server, audience);
  clearInterval(happening);
  await pause(peerSettleMs);
  const push = (count: number): void => server.source.send(JSON.stringify({ count }));
  return await rate(receiveOn(sockets.sockets), audience.sockets, push, warmUp + 5);
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

/** Resident bytes once the process has come to rest: what was freed is given back to the system over some seconds. */
async function settledMemory(server: RunningProcess): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let reading = 0; reading < memoryReadings; reading += 1) {
    if (reading > 0) await pause(memoryPauseMs);
    least = Math.min(least, Number((await server.ask('memory'))['rss']));
  }
  return least;
}

/** Resident memory of a socket with a silent subscription, in kB. */
async function idleMemory() {
  const ofGateway = async (deviceOf: Audience['deviceOf']): Promise<number> => {
    await using server = await startStreamingGateway([]);
    const before = await settledMemory(server.gateway);
    await using _sockets = await openAll(server, { sockets: idleSockets, selection: own, deviceOf });
    return ((await settledMemory(server.gateway)) - before) / idleSockets / 1_000;
  };
  const ofBare = async (): Promise<number> => {
    await using bare = await startProgram(program('bare-websocket'), { nodeFlags: ['--expose-gc'] });
    const before = await settledMemory(bare);
    const sockets = await openBare(bare.hello['url'] ?? '', idleSockets);
    const after = await settledMemory(bare);
    for (const socket of sockets) socket.terminate();
    return (after - before) / idleSockets / 1_000;
  };
  return {
    identical: await ofGateway(() => 'device-0'),
    different: await ofGateway((index) => `device-${index}`),
    bare: await ofBare(),
  };
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
