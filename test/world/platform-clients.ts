/** What users do with the platform, wherever it runs: one process, or one for each role behind Traefik and a broker. */
import type { FormattedExecutionResult } from 'graphql';
import { createClient, type Client } from 'graphql-ws';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { WebSocket } from 'ws';
import type { Scope } from '../../platform/identity/identity.js';

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

export interface PlatformClients {
  /** Root of the public HTTP API. */
  readonly gateway: string;
  /** Root of HTTP ingest. */
  readonly bridge: string;
  readonly mqtt: string;
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

/** Clients of a platform at these addresses. Dispose of them before it. */
export function createPlatformClients(
  addresses: Pick<PlatformClients, 'gateway' | 'bridge' | 'mqtt' | 'token'> & {
    /** Called with each device before it is given to the test. */
    readonly onRegistered?: (device: RegisteredDevice) => Promise<void>;
    /** How devices connect here; default: with MQTT.js, their credentials, and nothing else. */
    readonly connectDevice?: (device: RegisteredDevice, options: IClientOptions) => Promise<MqttClient>;
  },
): PlatformClients & AsyncDisposable {
  const { gateway, bridge, mqtt, token } = addresses;
  const connectDevice =
    addresses.connectDevice ??
    ((device, options) =>
      connectAsync(mqtt, { protocolVersion: 4, reconnectPeriod: 0, ...device.credentials, ...options }, false));
  const mqttClients: MqttClient[] = [];
  const sockets: Client[] = [];
  const platform: PlatformClients & AsyncDisposable = {
    gateway,
    bridge,
    mqtt,
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
        // A connection that is handed to a worker in the moment in which that is killed has no answer.
        connectionAckWaitTimeout: 20_000,
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
      const device = {
        id: registerDevice.device.id,
        tenant,
        credentials: registerDevice.credentials,
        consistencyToken: registerDevice.consistencyToken,
      };
      await addresses.onRegistered?.(device);
      return device;
    },
    async connect(device, options = {}) {
      const client = await connectDevice(device, options);
      client.on('error', () => undefined);
      mqttClients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) await socket.dispose();
      for (const client of mqttClients) await client.endAsync(true);
    },
  };
  return platform;
}
