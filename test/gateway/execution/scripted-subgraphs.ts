/** A whole gateway in front of subgraphs that answer what a test says, right or wrong, over HTTP. */
import { composeServices } from '@apollo/composition';
import { parse } from 'graphql';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { createGatewayRole } from '../../../gateway/gateway.js';
import { fixedSupergraph } from '../../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../../../platform/config/config.js';
import type { VerifyToken } from '../../../platform/identity/verify-token.js';
import { parseExactJson } from '../../../platform/json/exact-json.js';
import { silentLog } from '../../world/database.js';
import { fed2 } from '../federation/federation-world.js';

export interface SentRequest {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** What a subgraph does with a request: an object is its answer as JSON. */
export type Script = (sent: SentRequest, response: ServerResponse, incoming: IncomingMessage) => object | undefined;

export interface ScriptedGateway extends AsyncDisposable {
  readonly url: string;
  readonly metrics: Registry;
  /** Of all the subgraphs. */
  readonly server: Server;
  /** By subgraph; a test sets them anew. */
  readonly scripts: Map<string, Script>;
  /** Requests that subgraphs got, by their names. */
  readonly requests: { readonly subgraph: string; readonly sent: SentRequest }[];
  /** The whole answer to an operation. */
  ask(query: string, init?: RequestInit): Promise<unknown>;
}

/** @param subgraphs SDL of federation 2 by name */
export async function startScriptedGateway(
  subgraphs: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, string>> = {},
  verifyToken?: VerifyToken,
  log = silentLog,
): Promise<ScriptedGateway> {
  const scripts = new Map<string, Script>();
  const requests: ScriptedGateway['requests'] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const subgraph = incoming.url?.slice(1) ?? '';
      const { query, variables = {} } = parseExactJson(Buffer.concat(chunks).toString()) as Partial<SentRequest>;
      const sent = { query: query ?? '', variables };
      // The first question of a gateway that starts.
      const isFirst = sent.query === '{ __typename }';
      if (!isFirst) requests.push({ subgraph, sent });
      const answer = isFirst ? { data: {} } : scripts.get(subgraph)?.(sent, response, incoming);
      if (answer) response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { supergraphSdl = '', errors } = composeServices(
    Object.entries(subgraphs).map(([name, sdl]) => ({ name, url: `${root}/${name}`, typeDefs: parse(fed2 + sdl) })),
  );
  if (errors) throw new Error(errors.map(({ message }) => message).join('\n'));
  const metrics = new Registry();
  const gateway = createGatewayRole({
    config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0', EXPLORER: 'false', ...settings }),
    log,
    metrics,
    supergraph: fixedSupergraph(async () => supergraphSdl),
    ...(verifyToken ? { verifyToken } : {}),
  });
  await gateway.start();
  const url = `http://127.0.0.1:${gateway.port()}/graphql`;
  return {
    url,
    metrics,
    server,
    scripts,
    requests,
    async ask(query, init) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
        ...init,
      });
      return response.json();
    },
    async [Symbol.asyncDispose]() {
      await gateway.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
