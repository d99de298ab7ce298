/** The whole platform in this process, on a database of its own, with clients that use it as its users do. */
import type { FormattedExecutionResult } from 'graphql';
import { createClient, type Client } from 'graphql-ws';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { WebSocket } from 'ws';
import { startFleetgraph, type Fleetgraph } from '../../platform/cli/composition.js';
import { readConfig } from '../../platform/config/config.js';
import { allScopes, type Scope } from '../../platform/identity/identity.js';
import { freePorts } from './cli.js';
import { createDatabase, silentLog, type TestDatabase } from './database.js';

export interface GraphQLResponse<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions?: { readonly code?: string; readonly field?: string };
  }[];
}

export interface RegisteredDevice {
  readonly id: string;
  readonly tenant: string;
  readonly consistencyToken: string;
  readonly credentials: { readonly clientId: string; readonly username: string; readonly password: string };
}

/** What a subscription has given so far, in order. */
export interface Subscriber<Data> {
  readonly received: readonly Data[];
  /** The error that ended it, if one did. */
  readonly failure: () => unknown;
  stop(): void;
}

export interface TestPlatform extends AsyncDisposable {
  readonly gateway: string;
  readonly bridge: string;
  readonly mqtt: string;
  readonly database: TestDatabase;
  readonly fleetgraph: Fleetgraph;
  token(tenant: string, scopes?: readonly Scope[], lifetimeSeconds?: number): Promise<string>;
  /** One operation over HTTP, as `tenant` (default `acme`) with all scopes, unless a token is given. */
  graphql<Data>(
    query: string,
    variables?: Readonly<Record<string, unknown>>,
    as?: { tenant?: string; token?: string; consistencyToken?: string },
  ): Promise<GraphQLResponse<Data>>;
  /** The data of an operation that must not have errors. */
  data<Data>(
    query: string,
    variables?: Readonly<Record<string, unknown>>,
    as?: { tenant?: string; token?: string; consistencyToken?: string },
  ): Promise<Data>;
  subscribe<Data>(
    query: string,
    variables?: Readonly<Record<string, unknown>>,
    as?: { tenant?: string; token?: string },
  ): Promise<Subscriber<Data>>;
  registerDevice(
    input?: { name?: string; typeId?: string; labels?: readonly { key: string; value: string }[] },
    tenant?: string,
  ): Promise<RegisteredDevice>;
  /** A real MQTT client with the credentials of the device. Ended with the platform. */
  connect(device: RegisteredDevice, options?: IClientOptions): Promise<MqttClient>;
}

export function topic(device: { tenant: string; id: string }, channel: string): string {
  return `fleet/${device.tenant}/${device.id}/${channel}`;
}

export async function startPlatform(settings: Readonly<Record<string, string>> = {}): Promise<TestPlatform> {
  const database = await createDatabase();
  const dataDirectory = await mkdtemp(join(tmpdir(), 'fleetgraph-platform-'));
  const config = readConfig({
    NODE_ENV: 'test',
    FLEETGRAPH_DATA_DIR: dataDirectory,
    DATABASE_URL: database.url,
    ...freePorts,
    ...settings,
  });
  const fleetgraph = await startFleetgraph({ config, log: silentLog });
  const { gateway = '', bridge = '', mqtt = '' } = fleetgraph.addresses;
  const mqttClients: MqttClient[] = [];
  const sockets: Client[] = [];

  const token = async (
    tenant: string,
    scopes: readonly Scope[] = allScopes,
    lifetimeSeconds = 3_600,
  ): Promise<string> => {
    if (!fleetgraph.issuer) throw new Error('The test platform has no issuer.');
    return fleetgraph.issuer.issue({ tenant, subject: 'tester', scopes, lifetimeSeconds });
  };

  const platform: TestPlatform = {
    gateway,
    bridge,
    mqtt,
    database,
    fleetgraph,
    token,
    async graphql<Data>(
      query: string,
      variables: Readonly<Record<string, unknown>> = {},
      as: { tenant?: string; token?: string; consistencyToken?: string } = {},
    ) {
      const response = await fetch(`${gateway}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${as.token ?? (await token(as.tenant ?? 'acme'))}`,
          ...(as.consistencyToken === undefined ? {} : { 'x-fleetgraph-consistency': as.consistencyToken }),
        },
        body: JSON.stringify({ query, variables }),
      });
      return (await response.json()) as GraphQLResponse<Data>;
    },
    async data<Data>(
      query: string,
      variables?: Readonly<Record<string, unknown>>,
      as?: { tenant?: string; token?: string; consistencyToken?: string },
    ) {
      const response = await platform.graphql<Data>(query, variables, as);
      if (response.errors || response.data === undefined || response.data === null)
        throw new Error(`unexpected errors: ${JSON.stringify(response.errors)}`);
      return response.data;
    },
    async subscribe<Data>(
      query: string,
      variables: Readonly<Record<string, unknown>> = {},
      as: { tenant?: string; token?: string } = {},
    ): Promise<Subscriber<Data>> {
      const authorization = `Bearer ${as.token ?? (await token(as.tenant ?? 'acme'))}`;
      const client = createClient({
        url: `${gateway.replace(/^http/, 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams: { authorization },
        retryAttempts: 0,
        lazy: false,
        onNonLazyError: () => undefined,
      });
      sockets.push(client);
      const received: Data[] = [];
      let failure: unknown;
      const unsubscribe = client.subscribe<Data>(
        { query, variables },
        {
          next: (result: FormattedExecutionResult<Data, unknown>) => {
            if (result.errors) failure = result.errors;
            if (result.data) received.push(result.data);
          },
          error: (error) => (failure = error),
          complete: () => undefined,
        },
      );
      return {
        received,
        failure: () => failure,
        stop() {
          unsubscribe();
          void client.dispose();
        },
      };
    },
    async registerDevice(input = {}, tenant = 'acme') {
      const { registerDevice } = await platform.data<{
        registerDevice: {
          device: { id: string };
          credentials: RegisteredDevice['credentials'];
          consistencyToken: string;
        };
      }>(
        `mutation Register($input: RegisterDeviceInput!) { registerDevice(input: $input) { device { id } credentials { clientId username password } consistencyToken } }`,
        { input: { name: 'Boiler', typeId: 'generic', ...input } },
        { tenant },
      );
      return {
        id: registerDevice.device.id,
        tenant,
        credentials: registerDevice.credentials,
        consistencyToken: registerDevice.consistencyToken,
      };
    },
    async connect(device, options = {}) {
      const client = await connectAsync(
        mqtt,
        { protocolVersion: 4, reconnectPeriod: 0, ...device.credentials, ...options },
        false,
      );
      client.on('error', () => undefined);
      mqttClients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) await socket.dispose();
      for (const client of mqttClients) await client.endAsync(true);
      await fleetgraph.stop();
      await database[Symbol.asyncDispose]();
      await rm(dataDirectory, { recursive: true, force: true });
    },
  };
  return platform;
}
