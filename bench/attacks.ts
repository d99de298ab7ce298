/** What each attack of the corpus costs the gateway, beside a request that is answered: processor time of the gateway alone. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { attacks } from '../test/gateway/guards/attacks.js';
import { startProgram, type RunningProcess } from './process.js';
import { round, type Section } from './section.js';

const goodRequests = 2_000;
const attackRequests = 100;
const rounds = 3;

/** Those that are no body, but what is done with a connection; until the gateway ends it. All at once, for they take their time. */
const connectionAttacks: Readonly<Record<string, (url: URL) => Promise<unknown>>> = {
  async 'messages without end on a WebSocket'({ host }) {
    const socket = new WebSocket(`ws://${host}/graphql`, 'graphql-transport-ws').on('error', () => undefined);
    await once(socket, 'open');
    socket.send('{"type":"connection_init","payload":{"authorization":"Bearer bench"}}');
    await once(socket, 'message');
    for (let count = 0; count < 3_000; count += 1) socket.send('{"type":"ping"}');
    await once(socket, 'close');
  },
  async 'a WebSocket that never says who it is'({ host }) {
    const socket = new WebSocket(`ws://${host}/graphql`, 'graphql-transport-ws').on('error', () => undefined);
    await once(socket, 'close');
  },
  async 'a request whose body never comes'({ hostname, port }) {
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    const head = `POST /graphql HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer bench\r\n`;
    socket.write(`${head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`);
    socket.resume();
    await once(socket, 'close');
  },
};

const good = JSON.stringify({ query: '{ fleet { devices online } }' });

export async function measureAttacks(): Promise<Section> {
  await using subgraph = await startProgram(new URL('./peers/fleet-subgraph.ts', import.meta.url).pathname);
  const url = subgraph.hello['url'] ?? '';
  await using gateway = await startProgram(new URL('./peers/gateway-alone.ts', import.meta.url).pathname, {
    args: [url, url, url],
  });
  const address = `${gateway.hello['url'] ?? ''}/graphql`;
  const spendOn = (body: string, count: number): Promise<number> =>
    spend(gateway, count, async () => {
      for (let sent = 0; sent < count; sent += 1) await send(address, body);
    });
  await spendOn(good, goodRequests);
  const normal: number[] = [];
  const names = [...attacks.map(({ name }) => name), ...Object.keys(connectionAttacks)];
  const spent = new Map(names.map((name) => [name, [] as number[]]));
  for (let count = 0; count < rounds; count += 1) {
    normal.push(await spendOn(good, goodRequests));
    for (const { name, body } of attacks) spent.get(name)?.push(await spendOn(body(), attackRequests));
    for (const [name, attack] of Object.entries(connectionAttacks))
      spent
        .get(name)
        ?.push(
          await spend(gateway, attackRequests, () =>
            Promise.all(Array.from({ length: attackRequests }, () => attack(new URL(address)))),
          ),
        );
  }
  const usual = median(normal);
  return {
    title: 'Attacks',
    method: `The gateway alone, with its default limits; each attack of the test's corpus ${attackRequests} times, ${rounds} rounds, medians of its processor time; what is done with connections all at once, until the gateway has ended them. The request to compare with is \`{ fleet { devices online } }\`, answered by a subgraph.`,
    columns: ['', 'bytes', 'CPU µs', 'of a normal request'],
    rows: [
      ['a normal request', good.length, round(usual), '1.0×'],
      ...attacks.map(({ name, body }) => {
        const each = median(spent.get(name) ?? []);
        return [name, body().length, round(each), `${round(each / usual)}×`];
      }),
      ...Object.keys(connectionAttacks).map((name) => {
        const each = median(spent.get(name) ?? []);
        return [name, '', round(each), `${round(each / usual)}×`];
      }),
    ],
  };
}

/** Microseconds of the gateway's processor for each of so many. */
async function spend(gateway: RunningProcess, count: number, work: () => Promise<unknown>): Promise<number> {
  const cpu = async (): Promise<number> => {
    const { user, system } = (await gateway.ask('')) as { user: number; system: number };
    return user + system;
  };
  const before = await cpu();
  await work();
  return ((await cpu()) - before) / count;
}

async function send(url: string, body: string): Promise<void> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer bench' },
      body,
    });
    await response.arrayBuffer();
  } catch {
    // Refused before it was all sent: the connection is closed.
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
