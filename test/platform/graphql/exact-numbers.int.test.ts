/** What a subgraph of ours makes of numbers with more digits than a JavaScript number has, over HTTP and in this process. */
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FastifyInstance } from 'fastify';
import { createInProcessSubgraph } from '../../../gateway/execution/subgraphs/in-process-subgraph.js';
import type { Subgraph, SubgraphResponse } from '../../../gateway/execution/subgraphs/subgraph.js';
import { createSubgraphs } from '../../../gateway/execution/subgraphs/subgraphs.js';
import { createGatewayMetrics } from '../../../gateway/gateway-metrics.js';
import { scalarResolvers } from '../../../platform/graphql/scalars.js';
import { createSubgraphSchema, serveSubgraph, type SubgraphServer } from '../../../platform/graphql/subgraph.js';
import { createHttpService, listen } from '../../../platform/http/service.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import { silentLog } from '../../world/database.js';
import { createTestIssuer } from '../../world/identity.js';

const typeDefs = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key", "@requiresScopes"])
  scalar federation__Scope scalar JSON scalar DateTime
  input In { json: JSON f: Float inner: In }
  type Query { echo(id: ID, f: Float, n: Int, json: JSON, i: In, at: DateTime): JSON @requiresScopes(scopes: [["device:read"]]) }`;
const { JSON: json, DateTime } = scalarResolvers;
const issuer = await createTestIssuer();
const schema = createSubgraphSchema(typeDefs, {
  ...(json && DateTime ? { JSON: json, DateTime } : {}),
  Query: { echo: (_root: unknown, args: unknown) => args },
});
const metrics = createGatewayMetrics(new Registry());
let app: FastifyInstance;
let server: SubgraphServer;
const subgraphs = new Map<string, Subgraph>();

beforeAll(async () => {
  app = createHttpService({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    log: silentLog,
    metrics: new Registry(),
    ready: async () => undefined,
  });
  server = await serveSubgraph({
    app,
    schema,
    verifyToken: issuer.verifyToken,
    production: false,
    log: silentLog,
    context: (base) => base,
  });
  const port = await listen(app, { name: 'test', host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${port}/graphql`;
  subgraphs.set('HTTP', createSubgraphs({ urls: { test: () => url }, metrics, log: silentLog }).of('test'));
  subgraphs.set(
    'a call',
    createInProcessSubgraph({
      name: 'test',
      execute: server.execute,
      timeoutMs: 5_000,
      metrics,
      outages: createOutageLog({ log: silentLog, event: 'subgraph does not answer' }),
      onWritten: () => undefined,
    }),
  );
});
afterAll(async () => {
  await server.stop();
  await app.close();
});

const big = '9007199254740993';

describe.each(['HTTP', 'a call'])('over %s', (how) => {
  const ask = async (query: string, variables = ''): Promise<SubgraphResponse> => {
    const subgraph = subgraphs.get(how);
    if (!subgraph) throw new Error(`There is no ${how}.`);
    return subgraph.fetch({
      operation: {
        query,
        operationName: undefined,
        isMutation: false,
        bodyStart: `{"query":${JSON.stringify(query)},"variables":{`,
      },
      variables,
      representations: undefined,
      signal: undefined,
      context: { forwarded: { authorization: `Bearer ${await issuer.token('acme', ['device:read'])}` } },
    });
  };

  test('an ID has its digits, and a Float is rounded', async () => {
    const query = 'query ($id: ID, $f: Float, $i: In) { echo(id: $id, f: $f, i: $i) }';
    expect((await ask(query, `"id":${big},"f":${big},"i":{"inner":{"f":${big}}}`)).data).toEqual({
      echo: { id: big, f: 9007199254740992, i: { inner: { f: 9007199254740992 } } },
    });
    expect((await ask(`{ echo(id: ${big}, f: ${big}) }`)).data).toEqual({ echo: { id: big, f: 9007199254740992 } });
  });

  test.each([
    ['query ($json: JSON) { echo(json: $json) }', `"json":{"a":[1,${big}]}`, 'json.a[1]'],
    ['query ($input: In) { echo(i: $input) }', `"input":{"inner":{"json":{"y":${big}}}}`, 'input.inner.json.y'],
    ['query ($json: JSON) { echo(json: $json) }', `"json":${big}`, 'json'],
  ])('a JSON value of a variable does not lose digits: %s', async (query, variables, place) => {
    const { data, errors } = await ask(query, variables);
    expect(data ?? undefined).toBeUndefined();
    expect(errors).toMatchObject([
      {
        message: `${place} is the number ${big}, which can not be kept with all its digits. Send it as a string.`,
        extensions: { code: 'BAD_USER_INPUT' },
      },
    ]);
  });

  test.each([
    [`{ echo(json: { a: [1, ${big}] }) }`, `the number ${big}, which can not be kept`],
    [`{ echo(i: { json: ${big} }) }`, `the number ${big}, which can not be kept`],
    ['{ echo(json: 1e400) }', 'the number 1e400, which can not be kept'],
    [`query ($json: JSON = { a: ${big} }) { echo(json: $json) }`, `the number ${big}, which can not be kept`],
  ])('nor does one that is written as %s', async (query, message) => {
    const { data, errors } = await ask(query);
    expect(data ?? undefined).toBeUndefined();
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    expect(errors?.[0]?.message).toContain(message);
  });

  test('other JSON comes as it was sent', async () => {
    const literal = '{ a: [1, -2.5, "9007199254740993", null, true, { b: 1e300 }], d: 9007199254740992 }';
    const value = { a: [1, -2.5, big, null, true, { b: 1e300 }], d: 9007199254740992 };
    expect((await ask(`{ echo(json: ${literal}) }`)).data).toEqual({ echo: { json: value } });
    const variables = `"json":${JSON.stringify(value)}`;
    expect((await ask('query ($json: JSON) { echo(json: $json) }', variables)).data).toEqual({ echo: { json: value } });
  });

  test.each([
    ['query ($n: Int) { echo(n: $n) }', `"n":${big}`, big],
    ['query ($n: Int) { echo(n: $n) }', '"n":"x"', 'Int cannot represent'],
    ['query ($at: DateTime) { echo(at: $at) }', '"at":"nonsense"', 'DateTime cannot represent'],
  ])('variables that do not fit are BAD_USER_INPUT: %s, %s', async (query, variables, message) => {
    const { errors } = await ask(query, variables);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    expect(errors?.[0]?.message).toContain(message);
  });
});

test('a body with a name that is reserved is refused, with such a number in it and without', async () => {
  for (const number of ['1', big]) {
    const body = `{"query":"{ echo }","variables":{"json":{"n":${number},"__proto__":{"a":1}}}}`;
    const headers = { 'content-type': 'application/json' };
    expect((await app.inject({ method: 'POST', url: '/graphql', headers, body })).statusCode).toBe(400);
  }
});
