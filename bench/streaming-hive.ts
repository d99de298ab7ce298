/** Hive Gateway alone on one core, in front of the subgraph on the other whose streams ours has, too. It knows no other field of it. */
import { composeServices } from '@apollo/composition';
import { parse } from 'graphql';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startHive } from './federation/hive.js';
import { pinToCore, startProgram } from './process.js';
import type { StreamingGateway } from './streaming-gateway.js';

export async function startStreamingHive(): Promise<
  Pick<StreamingGateway, 'source' | 'webSocketUrl'> & AsyncDisposable
> {
  const source = await startProgram(new URL('./peers/stream-source.ts', import.meta.url).pathname);
  pinToCore(source.pid, 1);
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-bench-'));
  const supergraph = join(directory, 'supergraph.graphql');
  await writeFile(supergraph, supergraphOf(source.hello['query'] ?? ''));
  const hive = await startHive(supergraph, 'streaming');
  pinToCore(hive.pid, 0);
  return {
    source,
    webSocketUrl: hive.url.replace(/^http/, 'ws'),
    async [Symbol.asyncDispose]() {
      await hive[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Of a subgraph that has the field of the benchmark alone. */
function supergraphOf(url: string): string {
  const typeDefs = parse(`
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])
    type Query { isThere: Boolean }
    type Subscription { deviceState(deviceId: ID!): DeviceStateUpdate! }
    type DeviceStateUpdate { cursor: String! state: DeviceState }
    type DeviceState { version: Int! metrics: [MetricState!]! }
    type MetricState { name: String! value: Int at: String! }`);
  const { supergraphSdl, errors } = composeServices([{ name: 'query', url, typeDefs }]);
  if (supergraphSdl === undefined) throw new Error((errors ?? []).map(({ message }) => message).join('\n'));
  return supergraphSdl;
}
