/** How programs use a cluster: any gateway, again when one is away, with keys that make repetition safe. */
import { eventually } from '../eventually.js';
import type { GraphQLResponse, RegisteredDevice } from '../platform.js';
import type { Cluster } from './cluster.js';

export interface ClusterClient {
  /** One operation at one gateway, once. @throws when nothing answers. */
  ask<Data>(
    query: string,
    variables?: Readonly<Record<string, unknown>>,
    options?: { readonly gateway?: number; readonly consistencyToken?: string },
  ): Promise<GraphQLResponse<Data>>;
  /** The data of an operation, from one gateway after the other until one answers without errors. */
  data<Data>(
    query: string,
    variables?: Readonly<Record<string, unknown>>,
    options?: { readonly timeoutMs?: number },
  ): Promise<Data>;
  registerDevice(name: string): Promise<RegisteredDevice>;
  /** One reading over HTTP to one bridge, once. Resolves to whether it was acknowledged. */
  ingest(device: string, at: number, values: object, bridge?: number): Promise<boolean>;
}

export const clusterTenant = 'acme';

export async function createClusterClient(cluster: Cluster): Promise<ClusterClient> {
  const token = await cluster.token(clusterTenant);
  const authorization = `Bearer ${token}`;
  let turn = 0;
  const client: ClusterClient = {
    async ask<Data>(
      query: string,
      variables: Readonly<Record<string, unknown>> = {},
      options: { gateway?: number; consistencyToken?: string } = {},
    ) {
      const { url } = cluster.one('gateway', options.gateway ?? 0);
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization,
          ...(options.consistencyToken === undefined ? {} : { 'x-fleetgraph-consistency': options.consistencyToken }),
        },
        body: JSON.stringify({ query, variables }),
        signal: AbortSignal.timeout(15_000),
      });
      return (await response.json()) as GraphQLResponse<Data>;
    },
    data<Data>(query: string, variables?: Readonly<Record<string, unknown>>, options: { timeoutMs?: number } = {}) {
      return eventually(async () => {
        const gateway = turn++ % cluster.all('gateway').length;
        const { data, errors } = await client.ask<Data>(query, variables, { gateway });
        if (errors || data === undefined || data === null) throw new Error(JSON.stringify(errors));
        return data;
      }, options.timeoutMs ?? 60_000);
    },
    async registerDevice(name) {
      const { registerDevice } = await client.data<{
        registerDevice: {
          device: { id: string };
          credentials: RegisteredDevice['credentials'];
          consistencyToken: string;
        };
      }>(
        `mutation R($input: RegisterDeviceInput!) { registerDevice(input: $input) { device { id } credentials { clientId username password } consistencyToken } }`,
        { input: { name, typeId: 'generic' } },
      );
      const { device, credentials, consistencyToken } = registerDevice;
      return { id: device.id, tenant: clusterTenant, credentials, consistencyToken };
    },
    async ingest(deviceId, at, values, bridge = 0) {
      try {
        const response = await fetch(`${cluster.one('bridge', bridge).url}/ingest/v1/telemetry`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization },
          body: JSON.stringify({ deviceId, ts: at, values }),
          signal: AbortSignal.timeout(20_000),
        });
        const body = (await response.json()) as { accepted?: number };
        return response.status === 200 && body.accepted === 1;
      } catch {
        return false; // Not acknowledged: it may be there or not.
      }
    },
  };
  return client;
}
