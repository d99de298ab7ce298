/** What each attack of the corpus costs the gateway, beside a request that is answered: processor time of the gateway alone. */
import { attacks } from '../test/gateway/guards/attacks.js';
import { startProgram, type RunningProcess } from './process.js';
import { round, type Section } from './section.js';

const goodRequests = 2_000;
const attackRequests = 100;
const rounds = 3;

const good = JSON.stringify({ query: '{ fleet { devices online } }' });

export async function measureAttacks(): Promise<Section> {
  await using subgraph = await startProgram(new URL('./peers/fleet-subgraph.ts', import.meta.url).pathname);
  const url = subgraph.hello['url'] ?? '';
  await using gateway = await startProgram(new URL('./peers/gateway-alone.ts', import.meta.url).pathname, {
    args: [url, url, url],
  });
  const address = `${gateway.hello['url'] ?? ''}/graphql`;
  await spend(gateway, address, good, goodRequests);
  const normal: number[] = [];
  const spent = new Map(attacks.map(({ name }) => [name, [] as number[]]));
  for (let count = 0; count < rounds; count += 1) {
    normal.push(await spend(gateway, address, good, goodRequests));
    for (const { name, body } of attacks) spent.get(name)?.push(await spend(gateway, address, body(), attackRequests));
  }
  const usual = median(normal);
  return {
    title: 'Attacks',
    method: `The gateway alone, with its default limits; each attack of the test's corpus ${attackRequests} times, ${rounds} rounds, medians of its processor time. The request to compare with is \`{ fleet { devices online } }\`, answered by a subgraph.`,
    columns: ['', 'bytes', 'CPU µs', 'of a normal request'],
    rows: [
      ['a normal request', good.length, round(usual), '1.0×'],
      ...attacks.map(({ name, body }) => {
        const each = median(spent.get(name) ?? []);
        return [name, body().length, round(each), `${round(each / usual)}×`];
      }),
    ],
  };
}

/** Microseconds of the gateway's processor for each request. */
async function spend(gateway: RunningProcess, url: string, body: string, count: number): Promise<number> {
  const cpu = async (): Promise<number> => {
    const { user, system } = (await gateway.ask('')) as { user: number; system: number };
    return user + system;
  };
  const before = await cpu();
  for (let sent = 0; sent < count; sent += 1) {
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
  return ((await cpu()) - before) / count;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
