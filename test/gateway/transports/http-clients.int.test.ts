/** Real clients over HTTP, with their defaults: operations by text, by hash and by id. */
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { Client as UrqlClient, fetchExchange, type Exchange, type OperationResult } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { GraphQLClient } from 'graphql-request';
import { createClient as createSseClient } from 'graphql-sse';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Environment,
  fetchQuery,
  Network,
  RecordSource,
  Store,
  type ConcreteRequest,
  type GraphQLResponse,
  type RequestParameters,
  type Variables,
} from 'relay-runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { update } from './stream-world.js';

const summary = 'query Summary { fleet { devices online } }';
const byId = 'query ById($id: ID!) { device(id: $id) { id name } }';
const rename =
  'mutation Rename($name: String!) { updateDevice(input: { id: "boiler", name: $name }) { device { id name } } }';
const watch = 'subscription Watch($id: ID!) { deviceState(deviceId: $id) { cursor } }';

let directory: string;
let world: GatewayWorld;
let url: string;
let authorization: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-operations-'));
  await writeFile(join(directory, 'relay.json'), JSON.stringify({ 'id-of-summary': summary, 'id-of-by-id': byId }));
  world = await startGateway({ settings: { GATEWAY_PERSISTED_OPERATIONS: directory, GATEWAY_MAX_BATCH: '5' } });
  url = `${world.url}/graphql`;
  authorization = `Bearer ${await world.issuer.token('acme')}`;
  world.subgraphs.live.snapshot = () => update(1);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});
beforeEach(() => {
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
  sent.length = 0;
});
afterEach(() => eventually(() => expect(world.subgraphs.live.open).toEqual([])));

/** What clients sent: whether they do what a test is about. */
const sent: { readonly method: string; readonly url: string; readonly body: string; readonly status: number }[] = [];
const recording: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  const body = typeof init?.body === 'string' ? init.body : '';
  sent.push({ method: init?.method ?? 'GET', url: new Request(input).url, body, status: response.status });
  return response;
};
const fleet = { devices: 2, online: 1 };
const renamed = { updateDevice: { device: { id: 'boiler', name: 'Boiler 2' } } };

describe('urql', () => {
  const clientWith = (...exchanges: Exchange[]) =>
    new UrqlClient({
      url,
      fetch: recording,
      exchanges: [...exchanges, fetchExchange],
      fetchSubscriptions: true,
      fetchOptions: { headers: { authorization } },
    });
  const answerOf = ({ data, error }: OperationResult) => {
    if (error) throw error;
    return withoutTypes(data);
  };
  const firstOf = (client: UrqlClient) =>
    new Promise<OperationResult>((resolve) => {
      const subscription = client.subscription(watch, { id: 'boiler' }).subscribe((result) => {
        resolve(result);
        setImmediate(() => subscription.unsubscribe());
      });
    });

  test('queries by GET, mutates by POST, subscribes over SSE', async () => {
    const client = clientWith();
    expect(answerOf(await client.query(summary, {}).toPromise())).toEqual({ fleet });
    expect(answerOf(await client.query(byId, { id: 'boiler' }).toPromise())).toMatchObject({
      device: { name: 'Boiler 1' },
    });
    expect(answerOf(await client.mutation(rename, { name: 'Boiler 2' }).toPromise())).toEqual(renamed);
    expect(answerOf(await firstOf(client))).toEqual({ deviceState: { cursor: 'cursor-1' } });
    expect(sent.map(({ method, status }) => [method, status])).toEqual([
      ['GET', 200],
      ['GET', 200],
      ['POST', 200],
      ['POST', 200],
    ]);
  });

  test.each([
    ['by GET, as is its default', 'within-url-limit', 'GET'],
    ['by POST', false, 'POST'],
  ] as const)('with persisted queries %s', async (_how, preferGetForPersistedQueries, method) => {
    const persisted = { preferGetForPersistedQueries, enableForMutation: true, enableForSubscriptions: true };
    const [client, later] = [clientWith(persistedExchange(persisted)), clientWith(persistedExchange(persisted))];
    // The gateway has not seen it.
    const query = `query Persisted${method} { fleet { devices online } }`;
    expect(answerOf(await client.query(query, {}).toPromise())).toEqual({ fleet });
    expect(answerOf(await later.query(query, {}).toPromise())).toEqual({ fleet });
    expect(sent.map(({ method: by }) => by)).toEqual([method, method, method]);
    expect(sent.map(({ url: to, body }) => /[?&{"]query[="]/.test(to + body))).toEqual([false, true, false]);
    expect(answerOf(await client.mutation(rename, { name: 'Boiler 2' }).toPromise())).toEqual(renamed);
    expect(answerOf(await firstOf(client))).toEqual({ deviceState: { cursor: 'cursor-1' } });
    for (const { status } of sent) expect(status).toBe(200);
  });

  test('with the ids of a manifest alone', async () => {
    const enforced = persistedExchange({ enforcePersistedQueries: true, generateHash: async () => 'id-of-by-id' });
    const result = await clientWith(enforced).query(byId, { id: 'boiler' }).toPromise();
    expect(answerOf(result)).toMatchObject({ device: { name: 'Boiler 1' } });
    expect(sent).toHaveLength(1);
  });

  test('tells what is wrong', async () => {
    const { error } = await clientWith().query('{ nothing }', {}).toPromise();
    expect(error?.graphQLErrors[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  });
});

describe('Apollo Client', () => {
  const clientOver = (...links: ApolloLink[]) =>
    new ApolloClient({
      cache: new InMemoryCache(),
      link: ApolloLink.from([...links, new HttpLink({ uri: url, fetch: recording, headers: { authorization } })]),
    });
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

  test.each([
    ['by text', () => clientOver()],
    ['by hash', () => clientOver(new PersistedQueryLink({ sha256 }))],
    ['by hash and GET', () => clientOver(new PersistedQueryLink({ sha256, useGETForHashedQueries: true }))],
  ])('queries, mutates and subscribes %s', async (how, make) => {
    const client = make();
    const named = (text: string) => gql(text.replace(/(Summary|Rename|Watch)/, `$1${how.replaceAll(' ', '')}`));
    const { data } = await client.query({ query: named(summary) });
    expect(data).toMatchObject({ fleet });
    const mutated = await client.mutate({ mutation: named(rename), variables: { name: 'Boiler 2' } });
    expect(mutated.data).toMatchObject(renamed);
    const first = await new Promise<object>((resolve, reject) => {
      const subscription = client
        .subscribe({ query: named(watch), variables: { id: 'boiler' }, fetchPolicy: 'no-cache' })
        .subscribe({
          next(result) {
            setImmediate(() => subscription.unsubscribe());
            resolve(result);
          },
          error: reject,
        });
    });
    expect(first).toMatchObject({ data: { deviceState: { cursor: 'cursor-1' } } });
    for (const { status } of sent) expect(status).toBe(200);
    client.stop();
  });
});

describe('Relay', () => {
  /** As https://relay.dev/docs/guides/network-layer/ writes it. */
  const fetchGraphQL = async ({ text }: RequestParameters, variables: Variables): Promise<GraphQLResponse> => {
    const response = await recording(url, {
      method: 'POST',
      headers: {
        accept: 'application/graphql-response+json; charset=utf-8, application/json; charset=utf-8',
        'content-type': 'application/json',
        authorization,
      },
      body: JSON.stringify({ query: text, variables }),
    });
    return (await response.json()) as GraphQLResponse;
  };
  /** As https://relay.dev/docs/guides/persisted-queries/ writes it. */
  const fetchPersisted =
    (name: 'doc_id' | 'documentId') =>
    async ({ id, text }: RequestParameters, variables: Variables): Promise<GraphQLResponse> => {
      const response = await recording(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ [name]: id, query: text, variables }),
      });
      return (await response.json()) as GraphQLResponse;
    };
  const environmentOver = (...fetching: Parameters<typeof Network.create>) =>
    new Environment({ network: Network.create(...fetching), store: new Store(new RecordSource()) });

  test.each([
    ['by text', () => fetchGraphQL, { id: null, text: byId }],
    ['by doc_id', () => fetchPersisted('doc_id'), { id: 'id-of-by-id', text: null }],
    ['by documentId', () => fetchPersisted('documentId'), { id: 'id-of-by-id', text: null }],
  ])('queries %s', async (_how, fetching, params) => {
    const request = compiledById(params);
    const data = await fetchQuery(environmentOver(fetching()), request, { id: 'boiler' }).toPromise();
    expect(data).toEqual({ device: { id: 'boiler', name: 'Boiler 1' } });
    expect(sent).toHaveLength(1);
  });

  test('gets an error for an unknown id', async () => {
    const request = compiledById({ id: 'id-of-nothing', text: null });
    const failing = fetchQuery(environmentOver(fetchPersisted('doc_id')), request, { id: 'boiler' }).toPromise();
    await expect(failing).rejects.toThrow('id-of-nothing');
  });
});

describe('graphql-request', () => {
  test('queries, mutates and sends batches, by POST', async () => {
    const client = new GraphQLClient(url, { headers: { authorization }, fetch: recording });
    expect(await client.request(summary)).toEqual({ fleet });
    expect(await client.request(byId, { id: 'boiler' })).toMatchObject({ device: { name: 'Boiler 1' } });
    expect(await client.request(rename, { name: 'Boiler 2' })).toEqual(renamed);
    const batch = await client.batchRequests([{ document: summary }, { document: byId, variables: { id: 'boiler' } }]);
    expect(batch).toMatchObject([{ data: { fleet } }, { data: { device: { name: 'Boiler 2' } } }]);
  });

  test('queries by GET', async () => {
    const client = new GraphQLClient(url, {
      method: 'GET',
      headers: { authorization },
      fetch: recording,
      jsonSerializer: JSON,
    });
    expect(await client.request(byId, { id: 'boiler' })).toMatchObject({ device: { name: 'Boiler 1' } });
    expect(sent.map(({ method }) => method)).toEqual(['GET']);
  });

  test('tells what is wrong', async () => {
    const client = new GraphQLClient(url, { headers: { authorization } });
    await expect(client.request('{ nothing }')).rejects.toMatchObject({
      response: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] },
    });
  });
});

describe('graphql-sse, in distinct mode', () => {
  const hashed = (query: string) => ({
    extensions: { persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') } },
  });

  test('queries, mutates, subscribes, and gets errors', async () => {
    const client = createSseClient({ url, headers: { authorization }, retryAttempts: 0 });
    const first = async (query: string, variables: Record<string, unknown> = {}, extensions = {}) => {
      for await (const result of client.iterate({ query, variables, ...extensions })) return result;
      return undefined;
    };
    expect(await first(summary)).toEqual({ data: { fleet } });
    expect(await first(rename, { name: 'Boiler 2' })).toEqual({ data: renamed });
    expect(await first(watch, { id: 'boiler' })).toEqual({ data: { deviceState: { cursor: 'cursor-1' } } });
    expect(await first('{ nothing }')).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
    const query = `${summary} # of graphql-sse`;
    // A text that is empty is none: the hash says what it is.
    expect(await first('', {}, hashed(query))).toMatchObject({
      errors: [{ extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }],
    });
    expect(await first(query, {}, hashed(query))).toEqual({ data: { fleet } });
    expect(await first('', {}, hashed(query))).toEqual({ data: { fleet } });
    client.dispose();
  });

  test('gets the status without a good token', async () => {
    const client = createSseClient({ url, headers: { authorization: 'Bearer nonsense' }, retryAttempts: 0 });
    await expect(client.iterate({ query: summary }).next()).rejects.toThrow('401');
    client.dispose();
  });
});

/** urql asks for the type of each object. */
function withoutTypes(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (name, member: unknown) => (name === '__typename' ? undefined : member)),
  ) as unknown;
}

/** What Relay's compiler makes of `byId`. */
function compiledById(params: { readonly id: string | null; readonly text: string | null }): ConcreteRequest {
  const argumentDefinitions = [{ defaultValue: null, kind: 'LocalArgument', name: 'id' }];
  const scalar = (name: string) => ({ alias: null, args: null, kind: 'ScalarField', name, storageKey: null });
  const selections = [
    {
      alias: null,
      args: [{ kind: 'Variable', name: 'id', variableName: 'id' }],
      concreteType: 'Device',
      kind: 'LinkedField',
      name: 'device',
      plural: false,
      selections: [scalar('id'), scalar('name')],
      storageKey: null,
    },
  ];
  return {
    kind: 'Request',
    fragment: { argumentDefinitions, kind: 'Fragment', metadata: null, name: 'ById', selections, type: 'Query' },
    operation: { argumentDefinitions, kind: 'Operation', name: 'ById', selections },
    params: { ...params, cacheID: 'by-id', metadata: {}, name: 'ById', operationKind: 'query' },
  } as unknown as ConcreteRequest;
}
