/** (d) A joined query through the gateway, beside the same supergraph and subgraphs on plain ApolloGateway. */
import autocannon from 'autocannon';
import { connectFleet } from './fleet.js';
import { startPlatformProcess, startProgram } from './process.js';
import { ratio, round, type Section } from './section.js';

const connections = 20;
const seconds = 8;

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
    device: platform.hello['device'],
    actions: platform.hello['actions'],
    query: platform.hello['query'],
  };
  await using plain = await startProgram(new URL('./peers/plain-gateway.ts', import.meta.url).pathname, {
    args: [JSON.stringify(routes)],
  });
  const body = JSON.stringify({ query, variables: { id: device.id } });
  const measure = async (url: string) => {
    const request = {
      url,
      method: 'POST' as const,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${platform.token}` },
      body,
      connections,
    };
    await autocannon({ ...request, duration: 3 });
    const result = await autocannon({ ...request, duration: seconds });
    if (result.non2xx > 0 || result.errors > 0)
      throw new Error(`${url}: ${result.non2xx} answers were not 2xx, ${result.errors} errors`);
    return { perSecond: result.requests.average, p50: result.latency.p50, p99: result.latency.p99 };
  };
  const ours = await measure(`${platform.gateway}/graphql`);
  const theirs = await measure(plain.hello['url'] ?? '');
  await device.client.endAsync(true);
  return {
    title: 'A joined query through the gateway',
    method: `One device with state, presence, type and commands: three subgraphs. ${connections} connections for ${seconds} s. The peer is plain ApolloGateway with Apollo's standalone server in a process of its own, before the same subgraphs; our gateway shares its process with the subgraphs and everything else, and verifies the token itself.`,
    columns: ['', 'requests/s', 'of plain ApolloGateway', 'p50 ms', 'p99 ms'],
    rows: [
      ['plain ApolloGateway', round(theirs.perSecond), '100 %', theirs.p50, theirs.p99],
      ['fleetgraph gateway', round(ours.perSecond), ratio(ours.perSecond, theirs.perSecond), ours.p50, ours.p99],
    ],
  };
}
