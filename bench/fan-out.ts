/** (c) One change to 1, 100 and 1,000 sockets, beside bare `ws` that broadcasts the same frame. */
import { WebSocket } from 'ws';
import { connectFleet } from './fleet.js';
import { startPlatformProcess, startProgram } from './process.js';
import { quantile, ratio, round, type Section } from './section.js';
import { subscribeMany } from './subscribers.js';

const audiences = [1, 100, 1_000];
const rounds = 30;

export async function measureFanOut(): Promise<Section> {
  const rows: (string | number)[][] = [];
  await using platform = await startPlatformProcess();
  const [device] = await connectFleet(platform, 1);
  if (!device) throw new Error('There is no device.');
  for (const audience of audiences) {
    let frame = '';
    const ours = await timeRounds(async (arrived) => {
      const sockets = await subscribeMany({
        url: `${platform.gateway.replace(/^http/, 'ws')}/graphql`,
        token: platform.token,
        count: audience,
        payload: () => ({
          query:
            'subscription S($id: ID!) { deviceState(deviceId: $id) { cursor state { version metrics { name value at } } device { name } } }',
          variables: { id: device.id },
        }),
        onMessage: (text) => {
          frame = text;
          arrived();
        },
      });
      return {
        sockets,
        async publish(number) {
          await device.client.publishAsync(device.topic, JSON.stringify({ temperature: number }), { qos: 1 });
        },
      };
    }, audience);
    await using bare = await startProgram(new URL('./peers/bare-websocket.ts', import.meta.url).pathname);
    const theirs = await timeRounds(async (arrived) => {
      const sockets = await Promise.all(
        Array.from({ length: audience }, () => openBare(bare.hello['url'] ?? '', arrived)),
      );
      return {
        sockets: {
          sockets,
          async [Symbol.asyncDispose]() {
            for (const socket of sockets) socket.terminate();
          },
        },
        publish: async () => bare.send(frame),
      };
    }, audience);
    rows.push([
      audience,
      Math.round(ours.framesPerSecond),
      Math.round(theirs.framesPerSecond),
      ratio(ours.framesPerSecond, theirs.framesPerSecond),
      round(ours.p50),
      round(theirs.p50),
    ]);
  }
  await device.client.endAsync(true);
  return {
    title: 'Fan-out of one change',
    method: `One device publishes ${rounds} times, each time after the last frame of the change before has arrived at every socket, all of which run the same deviceState subscription joined with the registry. The peer is bare \`ws\` that broadcasts the same frame. Ours includes MQTT, bus and projection for each round.`,
    columns: [
      'sockets',
      'fleetgraph frames/s',
      'bare ws frames/s',
      'of bare ws',
      'fleetgraph p50 ms to the last socket',
      'bare ws p50 ms',
    ],
    rows,
  };
}

async function timeRounds(
  open: (arrived: () => void) => Promise<{ sockets: AsyncDisposable; publish: (round: number) => Promise<void> }>,
  audience: number,
): Promise<{ framesPerSecond: number; p50: number }> {
  let missing = 0;
  let done: () => void = () => undefined;
  const { sockets, publish } = await open(() => {
    missing -= 1;
    if (missing === 0) done();
  });
  await using _sockets = sockets;
  const times: number[] = [];
  for (let number = 0; number < rounds + 5; number += 1) {
    missing = audience;
    const all = new Promise<void>((resolve) => (done = resolve));
    const startedAt = performance.now();
    await publish(number);
    await all;
    // The first rounds compile; they are not counted.
    if (number >= 5) times.push(performance.now() - startedAt);
  }
  const total = times.reduce((sum, ms) => sum + ms, 0);
  return { framesPerSecond: (audience * times.length * 1_000) / total, p50: quantile(times, 0.5) };
}

async function openBare(url: string, arrived: () => void): Promise<WebSocket> {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  socket.on('message', (data: Buffer) => {
    data.toString();
    arrived();
  });
  return socket;
}
