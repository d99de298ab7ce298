/** (d) A joined query through the gateway, beside the same supergraph and subgraphs on plain ApolloGateway. */
import autocannon from 'autocannon';
import { connectFleet } from './fleet.js';
import { startPlatformProcess, startProgram } from './process.js';
import { ratio, round, type Section } from './section.js';

const connections = 20;
const seconds = 5;
const rounds = 4;

interface Figures {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

const query = `query Joined($id: ID!) { device(id: $id) {
  id name labels { key value } type { id metrics { name unit } }
  state { version updatedAt metrics { name value at } } presence { online lastSeen }
  commands(first: 5) { edges { node { id name status } } }
} }`;

export async function measureJoinedQuery(): Promise<Section> {
  await using platform = await startPlatformProcess();
  const [device] = await connectFleet(platform, 1);
  if (!device) throw new Error('There is no device.');
  await device.client.publishAsync(device.topic, '{"temperature": 21.5}', { qos: 1 });
  const routes = {
    device: platform.hello['device'] ?? '',
    actions: platform.hello['actions'] ?? '',
    query: platform.hello['query'] ?? '',
  };
  await using plain = await startProgram(new URL('./peers/plain-gateway.ts', import.meta.url).pathname, {
    args: [JSON.stringify(routes)],
  });
  await using alone = await startProgram(new URL('./platform.ts', import.meta.url).pathname, {
    args: ['gateway'],
    env: {
      LOG_LEVEL: 'warn',
      DATABASE_URL: platform.databaseUrl,
      JWKS_URL: `${platform.gateway}/auth/jwks.json`,
      DEVICE_URL: routes.device,
      ACTIONS_URL: routes.actions,
      QUERY_URL: routes.query,
    },
  });
  const body = JSON.stringify({ query, variables: { id: device.id } });
  const measure = async (url: string): Promise<Figures> => {
    const request = {
      url,
      method: 'POST' as const,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${platform.token}` },
      body,
      connections,
    };
    await autocannon({ ...request, duration: 2 });
    const result = await autocannon({ ...request, duration: seconds });
    if (result.non2xx > 0 || result.errors > 0)
      throw new Error(`${url}: ${result.non2xx} answers were not 2xx, ${result.errors} errors`);
    return { perSecond: result.requests.average, p50: result.latency.p50, p99: result.latency.p99 };
  };
  // By turns, so that a machine that grows faster or slower does so for both.
  const [ourRounds, theirRounds, aloneRounds]: [Figures[], Figures[], Figures[]] = [[], [], []];
  for (let round = 0; round < rounds; round += 1) {
    ourRounds.push(await measure(`${platform.gateway}/graphql`));
    theirRounds.push(await measure(plain.hello['url'] ?? ''));
    aloneRounds.push(await measure(`${alone.hello['gateway'] ?? ''}/graphql`));
  }
  const [ours, theirs, own] = [mean(ourRounds), mean(theirRounds), mean(aloneRounds)];
  await device.client.endAsync(true);
  return {
    title: 'A joined query through the gateway',
    method: `One device with state, presence, type and commands: three subgraphs. ${connections} connections, ${rounds} times ${seconds} s each, by turns; means of the rounds. The peer is plain ApolloGateway with Apollo's standalone server in a process of its own, before the same subgraphs; ours is measured in a process of its own, too, and as "npm start" runs it, in one with the subgraphs and everything else. It verifies the token, which the plain one passes on unread.`,
    columns: ['', 'requests/s', 'of plain ApolloGateway', 'p50 ms', 'p99 ms'],
    rows: [
      ['plain ApolloGateway', round(theirs.perSecond), '100 %', round(theirs.p50), round(theirs.p99)],
      [
        'fleetgraph gateway, in a process of its own',
        round(own.perSecond),
        ratio(own.perSecond, theirs.perSecond),
        round(own.p50),
        round(own.p99),
      ],
      [
        'fleetgraph gateway, one process for all',
        round(ours.perSecond),
        ratio(ours.perSecond, theirs.perSecond),
        round(ours.p50),
        round(ours.p99),
      ],
    ],
  };
}

function mean(figures: readonly Figures[]): Figures {
  const of = (key: keyof Figures) => figures.reduce((sum, one) => sum + one[key], 0) / figures.length;
  return { perSecond: of('perSecond'), p50: of('p50'), p99: of('p99') };
}
