/** A gateway on real sockets in front of subgraphs whose data a test sets. */
import { Registry } from 'prom-client';
import { expect } from 'vitest';
import { createGatewayRole, type GatewayRoleOptions } from '../../gateway/gateway.js';
import { readConfig } from '../../platform/config/config.js';
import type { Scope } from '../../platform/identity/identity.js';
import type { ServiceRole } from '../../platform/lifecycle/role.js';
import { silentLog } from '../world/database.js';
import { eventually } from '../world/eventually.js';
import { createTestIssuer, type TestIssuer } from '../world/identity.js';
import { openSocket, type Payload, type ProtocolClient } from './protocol-client.js';
import { startSubgraphs, type TestSubgraphs } from './subgraphs.js';

export interface GatewayWorld extends AsyncDisposable {
  readonly gateway: ServiceRole;
  readonly subgraphs: TestSubgraphs;
  readonly issuer: TestIssuer;
  readonly metrics: Registry;
  /** Root of the gateway. */
  readonly url: string;
  /** An operation over HTTP as `tenant`, with all scopes. */
  ask(query: string, variables?: Readonly<Record<string, unknown>>, as?: AskOptions): Promise<Payload>;
  /** A socket whose connection is that of `tenant` (default `acme`). */
  socket(as?: { tenant?: string; scopes?: readonly Scope[]; lifetimeSeconds?: number }): Promise<ProtocolClient>;
  /** Breaks every socket, whose streams then end. */
  disconnect(): Promise<void>;
  /** Sum of a metric over its labels; over those with this `reason` if one is given. */
  metric(name: string, reason?: string): Promise<number>;
}

export interface AskOptions {
  readonly tenant?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function startGateway(
  options: {
    settings?: Readonly<Record<string, string>>;
    issuer?: TestIssuer;
    /** Subgraphs that nobody has started yet. */
    absent?: readonly ('device' | 'actions' | 'query')[];
  } & Partial<Pick<GatewayRoleOptions, 'log' | 'jwks' | 'developmentToken' | 'drainMs' | 'supergraph'>> = {},
): Promise<GatewayWorld> {
  const { settings, issuer = await createTestIssuer(), absent, ...rest } = options;
  const subgraphs = await startSubgraphs(issuer.verifyToken, absent);
  const metrics = new Registry();
  const gateway = createGatewayRole({
    config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0', ...settings }),
    log: silentLog,
    metrics,
    verifyToken: issuer.verifyToken,
    subgraphs: {
      device: () => subgraphs.device.url(),
      actions: () => subgraphs.actions.url(),
      query: () => subgraphs.query.url(),
    },
    ...rest,
  });
  await gateway.start();
  const url = `http://127.0.0.1:${gateway.port()}`;
  const clients: ProtocolClient[] = [];
  return {
    gateway,
    subgraphs,
    issuer,
    metrics,
    url,
    async ask(query, variables = {}, { tenant = 'acme', headers = {} } = {}) {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${await issuer.token(tenant)}`,
          ...headers,
        },
        body: JSON.stringify({ query, variables }),
      });
      return (await response.json()) as Payload;
    },
    async socket({ tenant = 'acme', scopes, lifetimeSeconds } = {}) {
      const token = await issuer.token(tenant, scopes, lifetimeSeconds);
      const client = await openSocket(`${url}/graphql`, { authorization: `Bearer ${token}` });
      clients.push(client);
      return client;
    },
    async disconnect() {
      for (const { socket } of clients) socket.terminate();
      await eventually(() => expect(subgraphs.live.open).toEqual([]));
    },
    async metric(name, reason) {
      const { values } = (await metrics.getSingleMetric(name)?.get()) ?? { values: [] };
      return values
        .filter(({ labels }) => reason === undefined || (labels as { reason?: string }).reason === reason)
        .reduce((sum, { value }) => sum + value, 0);
    },
    async [Symbol.asyncDispose]() {
      for (const { socket } of clients) socket.terminate();
      await gateway.stop();
      await subgraphs.stop();
    },
  };
}
