/**
 * Other gateways, alone on one core, in front of the streams on the other that ours has, too. They know of the graph what the
 * benchmark asks for, in the version of federation that each speaks.
 */
import { composeServices } from '@apollo/composition';
import { parse } from 'graphql';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startHive } from './federation/hive.js';
import { installPeer } from './install-peer.js';
import { pinToCore, startProgram } from './process.js';
import type { StreamingGateway } from './streaming-gateway.js';

export type StreamingPeer = Pick<StreamingGateway, 'source' | 'webSocketUrl'> & AsyncDisposable;

const streams = `
  type Query { isThere: Boolean }
  type Subscription { deviceState(deviceId: ID!): DeviceStateUpdate! }
  type DeviceStateUpdate { cursor: String! state: DeviceState device: Device! }
  type DeviceState { version: Int! metrics: [MetricState!]! }
  type MetricState { name: String! value: Int at: String! }`;
const registry = 'type Device @key(fields: "id") { id: ID! name: String }';
const federation2 =
  'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@external"])';

export async function startStreamingHive(): Promise<StreamingPeer> {
  const { source, urls } = await startSource();
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-bench-'));
  const file = join(directory, 'supergraph.graphql');
  await writeFile(file, supergraphOf(urls));
  const hive = await startHive(file, 'streaming');
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

export async function startStreamingMercurius(): Promise<StreamingPeer> {
  const { source, urls } = await startSource();
  const services = [
    {
      name: 'query',
      url: urls.query,
      hasStreams: true,
      schema: `${streams} extend type Device @key(fields: "id") { id: ID! @external }`,
    },
    { name: 'device', url: urls.device, schema: `${registry} extend type Query { isHere: Boolean }` },
  ];
  const mercurius = await startProgram(`${installPeer('mercurius')}/server.mjs`, { args: [JSON.stringify(services)] });
  pinToCore(mercurius.pid, 0);
  return {
    source,
    webSocketUrl: `${(mercurius.hello['url'] ?? '').replace(/^http/, 'ws')}/graphql`,
    async [Symbol.asyncDispose]() {
      await mercurius[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    },
  };
}

async function startSource() {
  const source = await startProgram(new URL('./peers/stream-source.ts', import.meta.url).pathname);
  pinToCore(source.pid, 1);
  const { query = '', device = '' } = source.hello;
  return { source, urls: { query, device } };
}

function supergraphOf({ query, device }: { query: string; device: string }): string {
  const { supergraphSdl, errors } = composeServices([
    {
      name: 'query',
      url: query,
      typeDefs: parse(`${federation2} ${streams} type Device @key(fields: "id", resolvable: false) { id: ID! }`),
    },
    { name: 'device', url: device, typeDefs: parse(`${federation2} ${registry}`) },
  ]);
  if (supergraphSdl === undefined) throw new Error((errors ?? []).map(({ message }) => message).join('\n'));
  return supergraphSdl;
}
