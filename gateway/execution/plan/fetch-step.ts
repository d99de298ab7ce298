/**
 * One fetch of a plan. A fetch of entities finds the objects at its path, asks for each that differs once, and joins what comes
 * by the index; any other joins its data at its path.
 */
import type { FetchNode } from '@apollo/query-planner';
import type { GraphQLSchema } from 'graphql';
import { FleetgraphError } from '../../../platform/errors.js';
import type { JsonObject } from '../json.js';
import type { Run, Step } from '../run.js';
import {
  subgraphOperation,
  type Subgraph,
  type SubgraphOperation,
  type SubgraphResponse,
  type Subgraphs,
} from '../subgraphs/subgraph.js';
import { unavailable } from '../subgraphs/unavailable.js';
import { compileContextValues } from './context-values.js';
import { failureOfFetch, failuresOf } from './fetch-failures.js';
import { compileCollector, placesAt, type ResponsePath } from './flatten-path.js';
import { merge } from './merge.js';
import { compileRepresentations, type Representations } from './representations.js';
import { compileRewrites, type Rewrite } from './rewrites.js';

export interface PlanTools {
  /** The supergraph's, with what clients don't see. */
  readonly schema: GraphQLSchema;
  readonly subgraphs: Subgraphs;
}

interface Fetch {
  readonly node: FetchNode;
  readonly path: ResponsePath;
  readonly subgraph: Subgraph;
  readonly operation: SubgraphOperation;
  readonly collect: (root: JsonObject) => JsonObject[];
  readonly rewriteOutput: Rewrite | undefined;
  /** Those of the client's variables that it uses. */
  readonly variableNames: readonly string[];
}

/** @throws FleetgraphError BAD_USER_INPUT if the operation uses a name that belongs to federation. */
export function compileFetch(node: FetchNode, path: ResponsePath, { schema, subgraphs }: PlanTools): Step {
  const fromContext = new Set(node.contextRewrites?.map(({ renameKeyTo }) => renameKeyTo));
  const variableNames = (node.variableUsages ?? []).filter((name) => !fromContext.has(name));
  if (variableNames.includes('representations'))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'A variable can not be called "representations". Give it another name.',
    );
  const fetch: Fetch = {
    ...{ node, path, subgraph: subgraphs.of(node.serviceName), operation: subgraphOperation(node) },
    collect: compileCollector(path),
    rewriteOutput: compileRewrites(schema, node.outputRewrites),
    variableNames,
  };
  if (!node.requires) return (run) => fetchData(fetch, run, fetch.collect(run.data));
  const represent = compileRepresentations(schema, node.requires, node.inputRewrites);
  if (node.contextRewrites && node.contextRewrites.length > 0)
    return fetchInContext(fetch, represent, compileContextValues(schema, node.contextRewrites));
  return (run) => {
    const entities = fetch.collect(run.data);
    if (entities.length === 0) return undefined;
    const representations = represent(entities);
    if (representations.texts.length === 0) return undefined;
    return fetchEntities(fetch, run, entities, representations, '');
  };
}

/** Entities with other arguments from their context are asked for apart. */
function fetchInContext(
  fetch: Fetch,
  represent: (entities: readonly JsonObject[]) => Representations,
  valuesOf: ReturnType<typeof compileContextValues>,
): Step {
  return (run) => {
    const entities = fetch.collect(run.data);
    const places = placesAt(run.data, fetch.path);
    const groups = new Map<string, JsonObject[]>();
    entities.forEach((entity, index) => {
      const place = places[index];
      if (!place) return;
      const values = valuesOf(entity, place);
      const group = groups.get(values);
      if (group) group.push(entity);
      else groups.set(values, [entity]);
    });
    const pending = [...groups].flatMap(([values, group]) => {
      const representations = represent(group);
      return representations.texts.length === 0 ? [] : [fetchEntities(fetch, run, group, representations, values)];
    });
    return pending.length === 0 ? undefined : Promise.all(pending).then(() => undefined);
  };
}

async function fetchData(fetch: Fetch, run: Run, targets: readonly JsonObject[]): Promise<void> {
  if (targets.length === 0) return;
  try {
    const { data, errors } = await send(fetch, run, undefined, '');
    if (errors)
      run.failures.push(
        ...failuresOf(errors, { ...describe(fetch), isOfEntities: false }, () =>
          placesAt(run.data, fetch.path).map(({ path }) => path),
        ),
      );
    if (!data) return;
    fetch.rewriteOutput?.(data);
    for (const target of targets) merge(target, data);
  } catch (error) {
    run.failures.push(failureOfFetch(error, fetch));
  }
}

async function fetchEntities(
  fetch: Fetch,
  run: Run,
  entities: readonly JsonObject[],
  { texts, places }: Representations,
  contextValues: string,
): Promise<void> {
  try {
    const { data, errors } = await send(fetch, run, texts, contextValues);
    if (errors)
      run.failures.push(
        ...failuresOf(errors, { ...describe(fetch), isOfEntities: true }, (index) => {
          const paths = new Map(fetch.collect(run.data).map((entity, at) => [entity, at] as const));
          const all = placesAt(run.data, fetch.path);
          return entities.flatMap((entity, at) => {
            const place = places[at] === index ? all[paths.get(entity) ?? -1] : undefined;
            return place ? [place.path] : [];
          });
        }),
      );
    // With an error of its own in the place of the data.
    if (!data && errors && errors.length > 0) return;
    const received = data?.['_entities'];
    if (!Array.isArray(received) || received.length !== texts.length)
      throw unavailable(fetch.subgraph.name, {
        cause: new Error(`Not ${texts.length} entities, as asked for, but ${describeValue(received)}`),
      });
    if (fetch.rewriteOutput) prepareForRewrites(entities, places, received as (JsonObject | null)[]);
    for (const entity of received) fetch.rewriteOutput?.(entity);
    for (let index = 0; index < entities.length; index += 1) {
      const given = received[places[index] as number] as unknown;
      if (typeof given === 'object' && given !== null) merge(entities[index] as JsonObject, given as JsonObject);
    }
  } catch (error) {
    run.failures.push(failureOfFetch(error, fetch));
  }
}

/** Rewrites ask for the type, which a subgraph is not asked for where it is known. */
function prepareForRewrites(
  entities: readonly JsonObject[],
  places: readonly number[],
  received: readonly (JsonObject | null)[],
): void {
  entities.forEach((entity, index) => {
    const given = received[places[index] ?? -1];
    if (given) given['__typename'] ??= entity['__typename'];
  });
}

function send(
  { variableNames, subgraph, operation }: Fetch,
  run: Run,
  representations: readonly string[] | undefined,
  contextValues: string,
): Promise<SubgraphResponse> {
  let variables = contextValues;
  for (const name of variableNames) {
    if (!Object.hasOwn(run.given, name)) continue;
    const text = JSON.stringify(run.given[name]);
    if (text !== undefined) variables += `${variables === '' ? '' : ','}"${name}":${text}`;
  }
  return subgraph.fetch({ operation, variables, representations, context: run.context, signal: run.signal });
}

function describe({ node, path, subgraph }: Fetch) {
  return { subgraph: subgraph.name, path, outputRewrites: node.outputRewrites };
}

function describeValue(value: unknown): string {
  return Array.isArray(value) ? String(value.length) : typeof value;
}
