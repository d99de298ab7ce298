/**
 * One fetch of a plan. A fetch of entities finds the objects at its path, asks for each that differs once, and joins what comes
 * by the index; any other joins its data at its path.
 */
import { parse, print, visit, type GraphQLSchema } from 'graphql';
import { FleetgraphError } from '../../../platform/errors.js';
import { exactJson } from '../../../platform/json/exact-json.js';
import type { AdaptedFetch } from '../../supergraph/adapted-fetch.js';
import { copyOf, isObject, type JsonObject } from '../json.js';
import type { Run, Step } from '../run.js';
import { subgraphOperation, type Subgraph, type SubgraphOperation, type Subgraphs } from '../subgraphs/subgraph.js';
import { compileAnswerReader, type ReaderFor } from '../tape/answer-reader.js';
import { answerShape } from '../tape/answer-shape.js';
import { compileJoin, type Join } from './compile-join.js';
import { compileContextValues } from './context-values.js';
import type { EntityBatch, Slot } from './entity-batch.js';
import { askForEntities, type Question } from './entity-requests.js';
import {
  failureOfFetch,
  failureOfMisfits,
  failuresOfData,
  failuresOfDependents,
  failuresOfEntities,
  type FailedFetch,
} from './fetch-failures.js';
import { compileCollector, placesAt, type ResponsePath } from './flatten-path.js';
import { abstractTypesOf, merge, type AbstractTypes } from './merge.js';
import { namesAt, withRoom, type PlanNames } from './plan-names.js';
import { compileRepresentations, type Representations } from './representations.js';
import { compileRewrites, type Rewrite } from './rewrites.js';

const noNames: ReadonlyMap<string, string> = new Map();

export interface PlanTools {
  /** The supergraph's, with what clients don't see. */
  readonly schema: GraphQLSchema;
  readonly subgraphs: Subgraphs;
  /** What the client calls a field that has another name in the plan. */
  readonly clientNames?: ReadonlyMap<string, string>;
  /** What objects of the data come to have. */
  readonly names: PlanNames;
}

interface Fetch {
  readonly node: AdaptedFetch;
  readonly path: ResponsePath;
  readonly clientNames: ReadonlyMap<string, string>;
  readonly subgraph: Subgraph;
  readonly operation: SubgraphOperation;
  /** Reads its answer. */
  readonly readerFor: ReaderFor;
  readonly collect: (root: JsonObject) => JsonObject[];
  readonly rewriteOutput: Rewrite | undefined;
  readonly abstractTypes: AbstractTypes;
  /** Joins what came for an entity. */
  readonly join: Join;
  /** Those of the client's variables that it uses. */
  readonly variableNames: readonly string[];
}

interface EntityFetch extends Fetch {
  readonly question: Question;
}

/** Asks for those of a place, or some of them. */
type EntityStep = (run: Run, entities: readonly JsonObject[]) => Promise<void> | undefined;

/** @throws FleetgraphError BAD_USER_INPUT if the operation uses a name that belongs to federation. */
export function compileFetch(node: AdaptedFetch, path: ResponsePath, tools: PlanTools): Step {
  const fetch = fetchOf(node, path, tools);
  if (!node.requires) return (run) => fetchData(fetch, run, fetch.collect(run.data));
  if (node.contextRewrites && node.contextRewrites.length > 0)
    return fetchInContext(
      entityFetchOf(fetch),
      representationsOf(node, tools),
      compileContextValues(tools.schema, node.contextRewrites),
    );
  const step = compileEntities(fetch, tools);
  return (run) => {
    const entities = fetch.collect(run.data);
    return entities.length === 0 ? undefined : step(run, entities);
  };
}

function compileEntities(fetch: Fetch, tools: PlanTools): EntityStep {
  const { node, path } = fetch;
  const represent = representationsOf(node, tools);
  const entityFetch = entityFetchOf(fetch);
  const askAlone = node.alone && compileEntities(fetchOf(node.alone, path, tools), tools);
  return (run, entities) => {
    const representations = represent(run.tape, entities, run.failures.length === 0);
    const { texts, places } = representations;
    noteDependents(entityFetch, run, entities, representations);
    const asked = texts.length === 0 ? undefined : fetchEntities(entityFetch, run, entities, representations, '');
    const left = askAlone ? entities.filter((_entity, index) => places[index] === -1) : [];
    const askedAlone = left.length === 0 ? undefined : askAlone?.(run, left);
    return asked && askedAlone ? Promise.all([asked, askedAlone]).then(() => undefined) : (asked ?? askedAlone);
  };
}

function representationsOf({ requires = [], inputRewrites, keyNames }: AdaptedFetch, { schema }: PlanTools) {
  return compileRepresentations(schema, requires, inputRewrites, keyNames);
}

function fetchOf(
  node: AdaptedFetch,
  path: ResponsePath,
  { schema, subgraphs, clientNames = noNames, names }: PlanTools,
): Fetch {
  const fromContext = new Set(node.contextRewrites?.map(({ renameKeyTo }) => renameKeyTo));
  const variableNames = (node.variableUsages ?? []).filter((name) => !fromContext.has(name));
  if (variableNames.includes('representations'))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'A variable can not be called "representations". Give it another name.',
    );
  const shape = answerShape(node.operation, schema);
  const [entities] = node.requires ? shape : [];
  const place = namesAt(names, path);
  const fields = entities ? [{ ...entities, fields: withRoom(entities.fields ?? [], place) }] : withRoom(shape, place);
  const abstractTypes = abstractTypesOf(schema);
  return {
    node,
    path,
    clientNames,
    subgraph: subgraphs.of(node.serviceName),
    operation: subgraphOperation(node),
    readerFor: compileAnswerReader(fields),
    collect: compileCollector(path),
    rewriteOutput: compileRewrites(schema, node.outputRewrites),
    abstractTypes,
    join:
      entities && !node.outputRewrites?.length
        ? compileJoin(entities.fields ?? [], abstractTypes)
        : (target, source) => merge(target, source, abstractTypes),
    variableNames,
  };
}

function entityFetchOf(fetch: Fetch): EntityFetch {
  const { node, subgraph, operation, readerFor, rewriteOutput } = fetch;
  const key = JSON.stringify([subgraph.name, sameText(operation.query), node.outputRewrites ?? []]);
  return { ...fetch, question: { subgraph, operation, readerFor, rewriteOutput, key } };
}

/** Fetches at several places of a plan ask the same, but for the names of their operations and the order of fields. */
function sameText(query: string): string {
  return print(
    visit(parse(query, { noLocation: true }), {
      OperationDefinition: (operation) => ({ ...operation, name: undefined }),
      SelectionSet: {
        leave: (set) => ({
          ...set,
          selections: [...set.selections].sort((one, other) => (print(one) < print(other) ? -1 : 1)),
        }),
      },
    }),
  );
}

/** Entities with other arguments from their context are asked for apart. */
function fetchInContext(
  fetch: EntityFetch,
  represent: ReturnType<typeof compileRepresentations>,
  valuesOf: ReturnType<typeof compileContextValues>,
): Step {
  return (run) => {
    const entities = fetch.collect(run.data);
    const places = placesAt(run.data, fetch.path);
    const groups = new Map<string, JsonObject[]>();
    entities.forEach((entity, index) => {
      const place = places[index];
      if (!place) return;
      const values = valuesOf(run.tape, entity, place);
      const group = groups.get(values);
      if (group) group.push(entity);
      else groups.set(values, [entity]);
    });
    const pending = [...groups].flatMap(([values, group]) => {
      const representations = represent(run.tape, group, run.failures.length === 0);
      noteDependents(fetch, run, group, representations);
      return representations.texts.length === 0 ? [] : [fetchEntities(fetch, run, group, representations, values)];
    });
    return pending.length === 0 ? undefined : Promise.all(pending).then(() => undefined);
  };
}

async function fetchData(fetch: Fetch, run: Run, targets: readonly JsonObject[]): Promise<void> {
  if (targets.length === 0) return;
  try {
    const { subgraph, operation } = fetch;
    const { context, signal } = run;
    const variables = variablesOf(fetch, run, '');
    const reader = fetch.readerFor(run.tape);
    const request = { operation, variables, representations: undefined, context, signal, reader };
    const { data, errors, cacheControl } = await subgraph.fetch(request);
    run.cachePolicy?.restrict(cacheControl);
    if (errors) run.failures.push(...failuresOfData(errors, describe(fetch), targets));
    if (!data) return;
    fetch.rewriteOutput?.(data);
    for (const target of targets) merge(target, data, fetch.abstractTypes);
  } catch (error) {
    run.failures.push(failureOfFetch(error, describe(fetch), targets));
  }
}

async function fetchEntities(
  fetch: EntityFetch,
  run: Run,
  entities: readonly JsonObject[],
  representations: Representations,
  contextValues: string,
): Promise<void> {
  const slots = askForEntities(run, fetch.question, representations, variablesOf(fetch, run, contextValues), fetch);
  const { places } = representations;
  const batches = batchesOf(slots);
  // They are awaited one after the other: one that fails meanwhile has a listener.
  if (batches.length > 1) for (const { answer } of batches) answer.catch(() => undefined);
  for (const batch of batches) {
    try {
      const { entities: given, errors } = await batch.answer;
      if (errors.length > 0) {
        const asked = entitiesByIndex(entities, places, slots, batch);
        const at = (index: number) => (index < batch.texts.length ? (asked.get(index) ?? []) : undefined);
        run.failures.push(...failuresOfEntities(errors, describe(fetch), [...asked.values()].flat(), at));
      }
      const misfits: JsonObject[] = [];
      for (let index = 0; index < entities.length; index += 1) {
        const slot = slots[places[index] as number];
        if (slot?.batch !== batch) continue;
        const entity: unknown = given[slot.index];
        if (entity === null || entity === undefined) continue;
        const target = entities[index] as JsonObject;
        if (!isObject(entity)) misfits.push(target);
        else fetch.join(target, slot.owner === fetch ? entity : copyOf(entity));
      }
      if (misfits.length > 0) run.failures.push(failureOfMisfits(describe(fetch), misfits));
    } catch (error) {
      const asked = entitiesByIndex(entities, places, slots, batch);
      run.failures.push(failureOfFetch(error, describe(fetch), [...asked.values()].flat()));
    }
  }
}

function batchesOf(slots: readonly Slot[]): EntityBatch[] {
  const batches: EntityBatch[] = [];
  for (const { batch } of slots) if (!batches.includes(batch)) batches.push(batch);
  return batches;
}

/**
 * The fetch's entities that were asked for with the batch, by their index in it: one may be in many
 * places.
 */
function entitiesByIndex(
  entities: readonly JsonObject[],
  places: readonly number[],
  slots: readonly Slot[],
  batch: EntityBatch,
): Map<number, JsonObject[]> {
  const found = new Map<number, JsonObject[]>();
  entities.forEach((entity, index) => {
    const slot = slots[places[index] as number];
    if (slot?.batch !== batch) return;
    const same = found.get(slot.index);
    if (same) same.push(entity);
    else found.set(slot.index, [entity]);
  });
  return found;
}

/** What is left out after a failure is missing because of it. */
function noteDependents(
  fetch: Fetch,
  run: Run,
  entities: readonly JsonObject[],
  { places }: Pick<Representations, 'places'>,
): void {
  if (run.failures.length === 0) return;
  const leftOut = entities.filter((_entity, index) => places[index] === -1);
  run.failures.push(...failuresOfDependents(run.failures, describe(fetch), leftOut));
}

/** The values of the client's variables that the fetch uses, beside those from the context of its entities, as JSON. */
function variablesOf({ variableNames }: Fetch, run: Run, contextValues: string): string {
  let variables = contextValues;
  for (const name of variableNames) {
    if (!Object.hasOwn(run.given, name)) continue;
    const text = run.isLossless ? exactJson(run.given[name]) : JSON.stringify(run.given[name]);
    if (text !== undefined) variables += `${variables === '' ? '' : ','}"${name}":${text}`;
  }
  return variables;
}

function describe({ node, subgraph, clientNames }: Fetch): FailedFetch {
  return { subgraph: subgraph.name, fetched: node, clientNames };
}
