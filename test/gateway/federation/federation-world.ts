/**
 * A composed graph of two or more subgraphs on sockets, the gateway's executor in front of them, and the monolith that it must
 * equal. All of a test file shares one process and one port; a graph takes some tens of milliseconds.
 */
import { composeServices } from '@apollo/composition';
import { execute, parse, validate, type DocumentNode, type GraphQLSchema } from 'graphql';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import fc from 'fast-check';
import { expect } from 'vitest';
import { createExecutor, type Executor } from '../../../gateway/execution/executor.js';
import { dataIn } from '../../../gateway/execution/response/answer.js';
import { createGatewayMetrics } from '../../../gateway/gateway-metrics.js';
import { createSubgraphs } from '../../../gateway/execution/subgraphs/subgraphs.js';
import { buildSupergraph, type Supergraph } from '../../../gateway/supergraph/supergraph.js';
import { graphqlErrorFormatter } from '../../../platform/graphql/errors.js';
import { silentLog } from '../../world/database.js';
import type { GraphData } from './graph-data.js';
import { expectNullsTold } from '../execution/expect-nulls-told.js';
import { createMonolith, type Monolith } from './monolith.js';
import { randomOperation, type ArgumentLiterals } from './random-operation.js';
import { subgraphOfData } from './subgraph-of-data.js';

export interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string; readonly path?: readonly (string | number)[] }[];
}

export interface SubgraphRequest {
  readonly subgraph: string;
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

export interface Federation extends AsyncDisposable {
  readonly supergraphSdl: string;
  readonly supergraph: Supergraph;
  /** What the subgraphs were asked since `ask` was last called. */
  readonly requests: readonly SubgraphRequest[];
  /** A validated operation through the executor. Without errors there is no member `errors`. */
  ask(query: string, variables?: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** Labels of `@override` that are on from now on; none at first. */
  override(labels: readonly string[]): void;
  /** Expects of the gateway what the monolith answers. @returns the data. */
  compare(query: string, variables?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /**
   * Compares queries made up at random, also with one of their fetches failing: then what is null
   * because of it has an error.
   * @param literals what arguments may be, by their names; of enums nothing is needed.
   */
  compareAny(literals?: ArgumentLiterals, runs?: number): Promise<void>;
}

/** How many queries are made up for each graph. */
const randomRuns = Number(process.env['RANDOM_QUERIES'] ?? 15);

/** The header that a federation 2 schema begins with. */
export const fed2 = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: [
  "@key", "@requires", "@provides", "@external", "@shareable", "@override", "@inaccessible", "@interfaceObject",
  "@context", "@fromContext", "@extends", "@tag"
])\n`;

export async function startFederation(options: {
  /** SDL by name; what does not begin with `extend schema` is of federation 2, with everything imported. */
  readonly subgraphs: Readonly<Record<string, string>>;
  readonly data: GraphData;
  /** SDL that is of federation 1. */
  readonly federation1?: readonly string[];
}): Promise<Federation> {
  const { data, federation1 = [] } = options;
  const subgraphs = Object.entries(options.subgraphs).map(
    ([name, sdl]) => [name, federation1.includes(name) ? sdl : fed2 + sdl] as const,
  );
  const schemas = new Map<string, GraphQLSchema>();
  const overrides = new Set<string>();
  const requests: SubgraphRequest[] = [];
  const failing: Failing = { at: undefined };
  const server = await serve(schemas, requests, failing);
  const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { supergraphSdl, errors } = composeServices(
    subgraphs.map(([name, sdl]) => ({ name, url: `${root}/${name}`, typeDefs: parse(sdl) })),
  );
  if (supergraphSdl === undefined) throw new Error((errors ?? []).map(({ message }) => message).join('\n'));
  const supergraph = buildSupergraph(supergraphSdl);
  for (const [name, sdl] of subgraphs)
    schemas.set(name, subgraphOfData(sdl, data, supergraph.supergraphSchema, overriddenIn(name, subgraphs, overrides)));
  const executor = createExecutor({
    supergraph: () => supergraph,
    subgraphs: createSubgraphs({
      urls: Object.fromEntries(subgraphs.map(([name]) => [name, () => `${root}/${name}`])),
      metrics: createGatewayMetrics(new Registry()),
      log: silentLog,
    }),
    formatError: graphqlErrorFormatter(silentLog),
  });
  const monolith = createMonolith(
    supergraph.federatedApiSchema.toGraphQLJSSchema(),
    subgraphs.map(([, sdl]) => sdl),
    data,
  );
  return {
    supergraphSdl,
    supergraph,
    requests,
    ...operations({ supergraph, executor, monolith, requests, server, overrides, failing }),
  };
}

/** Which of the requests of an operation is answered with nothing that could be used; undefined: none. */
interface Failing {
  at: number | undefined;
}

function operations(parts: {
  failing: Failing;
  supergraph: Supergraph;
  executor: Executor;
  monolith: Monolith;
  requests: SubgraphRequest[];
  server: Server;
  overrides: Set<string>;
}): Pick<Federation, 'ask' | 'override' | 'compare' | 'compareAny'> & AsyncDisposable {
  const { supergraph, executor, monolith, requests, server, overrides, failing } = parts;
  const run = async (document: DocumentNode, variables: Readonly<Record<string, unknown>>): Promise<Answer> => {
    requests.length = 0;
    const prepared = executor.prepare(document, undefined, supergraph, undefined, [...overrides]);
    const { body, errors } = await executor.execute(prepared, { variables, context: { forwarded: {} } });
    return {
      ...(body === undefined ? {} : { data: JSON.parse(dataIn(body)) as unknown }),
      ...(errors.length > 0 ? { errors } : {}),
    };
  };
  const parseValid = (query: string): DocumentNode => {
    const document = parse(query);
    expect(validate(supergraph.apiSchema, document)).toEqual([]);
    return document;
  };
  const compare: Federation['compare'] = async (query, variables = {}) => {
    const document = parseValid(query);
    const expected = JSON.parse(JSON.stringify(monolith.execute(document, variables))) as Answer;
    expect(expected.errors, 'the monolith').toBeUndefined();
    expect(await run(document, variables), query).toEqual(expected);
    return expected.data;
  };
  /** Each of its requests fails in turn. */
  const compareFailing = async (query: string, variables: Readonly<Record<string, unknown>>, reference: unknown) => {
    for (let at = requests.length - 1; at >= 0; at -= 1) {
      failing.at = at;
      const answer = await run(parse(query), variables);
      failing.at = undefined;
      // Entities of parallel branches are asked for together if their turns coincide: then there are fewer requests.
      if (at >= requests.length) expect(answer, query).toEqual({ data: reference });
      else expect(answer.errors ?? [], query).not.toEqual([]);
      expectNullsTold(answer, reference);
    }
  };
  return {
    ask: (query, variables = {}) => run(parseValid(query), variables),
    override(labels) {
      overrides.clear();
      for (const label of labels) overrides.add(label);
    },
    compare,
    compareAny: (literals = {}, runs = randomRuns) =>
      fc.assert(
        fc.asyncProperty(randomOperation(supergraph.apiSchema, literals), async ({ query, variables }) => {
          await compareFailing(query, variables, await compare(query, variables));
        }),
        // Made smaller, it would be asked for hundreds of times.
        { numRuns: runs, endOnFailure: true },
      ),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** All subgraphs at `/name` of one port. They refuse what is not valid, as any server would. */
async function serve(
  schemas: ReadonlyMap<string, GraphQLSchema>,
  requests: SubgraphRequest[],
  failing: Failing,
): Promise<Server> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const subgraph = request.url?.slice(1) ?? '';
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Omit<SubgraphRequest, 'subgraph'>;
      requests.push({ subgraph, query: body.query, variables: body.variables });
      if (requests.length - 1 === failing.at) {
        response.writeHead(500).end('This one fails.');
        return;
      }
      void answer(schemas.get(subgraph), body).then((result) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result)),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function answer(
  schema: GraphQLSchema | undefined,
  { query, variables }: Omit<SubgraphRequest, 'subgraph'>,
): Promise<unknown> {
  if (!schema) return { errors: [{ message: 'There is no such subgraph.' }] };
  const document = parse(query);
  const errors = validate(schema, document);
  return errors.length > 0 ? { errors } : execute({ schema, document, variableValues: variables });
}

/** `Type.field` that others resolve in the place of the subgraph: one with a label only while that is on, and vice versa. */
function overriddenIn(
  name: string,
  subgraphs: readonly (readonly [string, string])[],
  on: ReadonlySet<string>,
): Pick<ReadonlySet<string>, 'has'> {
  const rules: { readonly field: string; readonly isOverridden: () => boolean }[] = [];
  for (const [owner, sdl] of subgraphs) {
    for (const definition of parse(sdl).definitions) {
      if (!('fields' in definition) || !('name' in definition)) continue;
      for (const { name: field, directives } of definition.fields ?? []) {
        const override = directives?.find((directive) => directive.name.value === 'override');
        const textOf = (argument: string): string | undefined => {
          const value = override?.arguments?.find((given) => given.name.value === argument)?.value;
          return value && 'value' in value ? String(value.value) : undefined;
        };
        const label = textOf('label');
        const isOn = (): boolean => label === undefined || on.has(label);
        const place = `${definition.name?.value ?? ''}.${field.value}`;
        if (textOf('from') === name) rules.push({ field: place, isOverridden: isOn });
        if (override && owner === name) rules.push({ field: place, isOverridden: () => !isOn() });
      }
    }
  }
  return { has: (place) => rules.some(({ field, isOverridden }) => field === place && isOverridden()) };
}
