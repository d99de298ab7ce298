// Program: the whole gateway (Fastify, guards, transports), for the supergraph in the file that is its first argument. "in-process" as the
// second one: the subgraphs run here, too, and are asked without HTTP; their answers are kept as text, as those over HTTP are.
import { graphql } from 'graphql';
import { readFile } from 'node:fs/promises';
import { Registry } from 'prom-client';
import { createGatewayRole } from '../../gateway/gateway.js';
import { fixedSupergraph } from '../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../../platform/config/config.js';
import type { ExecuteLocally, LocalResponse } from '../../platform/graphql/local-execution.js';
import { createLogger } from '../../platform/observability/logger.js';
import { subgraphNames, subgraphSchema } from '../federation/shop.js';

const [file = '', mode] = process.argv.slice(2);

function keptSubgraph(name: (typeof subgraphNames)[number]): ExecuteLocally {
  const schema = subgraphSchema(name);
  const kept = new Map<string, string>();
  return async ({ query, variables, operationName }) => {
    const key = `${query}${JSON.stringify(variables)}`;
    let text = kept.get(key);
    if (text === undefined) {
      const named = operationName === undefined ? {} : { operationName };
      text = JSON.stringify(await graphql({ schema, source: query, variableValues: variables, ...named }));
      kept.set(key, text);
    }
    return JSON.parse(text) as LocalResponse;
  };
}

const gateway = createGatewayRole({
  config: readConfig({ NODE_ENV: 'production', GATEWAY_PORT: '0', EXPLORER: 'false', GATEWAY_MAX_COST: '100000000' }),
  log: createLogger({ level: 'warn', pretty: false }),
  metrics: new Registry(),
  supergraph: fixedSupergraph(() => readFile(file, 'utf8')),
  ...(mode === 'in-process'
    ? { local: Object.fromEntries(subgraphNames.map((name) => [name, keptSubgraph(name)])) }
    : {}),
});
await gateway.start();
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { url: `http://127.0.0.1:${gateway.port()}/graphql` } }));
