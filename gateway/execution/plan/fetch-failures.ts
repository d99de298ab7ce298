/**
 * What goes wrong with a fetch, and what is missing in the data because of it: the objects that it
 * was to give something, and the fields. Where in the client's answer that is, is found when the
 * answer is completed (response/failure-places.ts).
 */
import { GraphQLError } from 'graphql';
import { messageOf } from '../../../platform/errors.js';
import type { JsonObject } from '../json.js';
import type { Failure, Gap } from '../run.js';
import { ErrorOfSubgraph } from '../subgraphs/errors-of-subgraphs.js';
import type { SubgraphError } from '../subgraphs/subgraph-error.js';
import { fetchedFields, fieldAtLocation, originalName, type Fetched, type FieldTree } from './fetched-fields.js';

const none: FieldTree = new Map();
/** How deep in an entity the cause is looked for of what is required of it. */
const maxRequiredDepth = 8;

export interface FailedFetch {
  readonly subgraph: string;
  readonly fetched: Fetched;
  /** What the client calls a field that has another name in the plan. */
  readonly clientNames: ReadonlyMap<string, string>;
}

/** There is no answer, or none that can be used. @param objects that were to be given something */
export function failureOfFetch(error: unknown, fetch: FailedFetch, objects: readonly JsonObject[]): Failure {
  return {
    error: {
      message: messageOf(error),
      ...(error instanceof GraphQLError ? { extensions: { ...error.extensions } } : {}),
    },
    cause: error,
    origin: error instanceof Error ? error : fetch,
    gap: { objects, fields: fetchedFields(fetch.fetched), path: undefined, suspects: none },
  };
}

/** Errors of a response that is no list of entities. @param targets that the data goes into */
export function failuresOfData(
  errors: readonly SubgraphError[],
  fetch: FailedFetch,
  targets: readonly JsonObject[],
): Failure[] {
  const fields = fetchedFields(fetch.fetched);
  const failures = errors.map((error) => {
    const path = inData(error.path ?? [], fetch);
    const isKnown = typeof path[0] === 'string' && fields.has(path[0]);
    return failureOf(error, fetch, isKnown ? exactly(targets, fields, path, fetch) : somewhere(targets, fields, []));
  });
  return firstOfAll(failures, targets);
}

/**
 * Errors of a list of entities.
 * @param entitiesAt where the entity with this index is in the data; undefined if nobody asked for
 * so many
 * @param all that were asked for
 */
export function failuresOfEntities(
  errors: readonly SubgraphError[],
  fetch: FailedFetch,
  all: readonly JsonObject[],
  entitiesAt: (index: number) => readonly JsonObject[] | undefined,
): Failure[] {
  const fields = fetchedFields(fetch.fetched);
  const failures = errors.flatMap((error): Failure[] => {
    const [root, index, ...rest] = error.path ?? [];
    const objects = root === '_entities' && typeof index === 'number' ? entitiesAt(index) : undefined;
    // Of entities that another fetch asked for.
    if (objects?.length === 0) return [];
    const path = inData(rest, fetch);
    if (objects && path.length > 0) return [failureOf(error, fetch, exactly(objects, fields, path, fetch))];
    const names = inData(error.path ?? [], fetch).filter((element) => typeof element === 'string');
    return [failureOf(error, fetch, somewhere(objects ?? all, fields, root === '_entities' ? names.slice(1) : names))];
  });
  return firstOfAll(failures, all);
}

/**
 * Of errors that could be anywhere in the fetch, the first accounts for all of it, and the first that
 * names a field for that. The others are reported, too: without a place.
 */
function firstOfAll(failures: readonly Failure[], all: readonly JsonObject[]): Failure[] {
  const named = new Set<string | undefined>();
  return failures.map((failure) => {
    const { gap } = failure;
    if (gap.path || gap.objects !== all) return failure;
    if (named.has(gap.named)) return { ...failure, gap: { ...gap, objects: [] } };
    named.add(gap.named);
    return failure;
  });
}

/** What a subgraph gave in the place of these entities is none. */
export function failureOfMisfits(fetch: FailedFetch, objects: readonly JsonObject[]): Failure {
  const error = { message: `The subgraph "${fetch.subgraph}" gave something that is no entity.` };
  return failureOf(error, fetch, {
    objects,
    fields: fetchedFields(fetch.fetched),
    path: undefined,
    suspects: none,
  });
}

/**
 * Entities that were not asked about, because what the subgraph needs of them is missing after
 * earlier failures.
 */
export function failuresOfDependents(
  earlier: readonly Failure[],
  { fetched }: FailedFetch,
  objects: readonly JsonObject[],
): Failure[] {
  const last = earlier.at(-1);
  if (!last || objects.length === 0) return [];
  const causes = new Map<unknown, Failure>();
  for (const failure of earlier) for (const object of failure.gap.objects) causes.set(object, failure);
  const groups = new Map<Failure, JsonObject[]>();
  for (const object of objects) {
    const cause = causeIn(object, causes, maxRequiredDepth) ?? last;
    const group = groups.get(cause);
    if (group) group.push(object);
    else groups.set(cause, [object]);
  }
  const fields = fetchedFields(fetched);
  return [...groups].map(([cause, group]) => ({
    ...cause,
    gap: { objects: group, fields, path: undefined, suspects: none },
  }));
}

/** What failed for the object or, as for what is required of what it has, for something in it. */
function causeIn(value: unknown, causes: ReadonlyMap<unknown, Failure>, depth: number): Failure | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const own = causes.get(value);
  if (own || depth === 0) return own;
  for (const inner of Object.values(value)) {
    const found = causeIn(inner, causes, depth - 1);
    if (found) return found;
  }
  return undefined;
}

/**
 * The subgraph has said where it was. What else of the same objects did not come is missing for the
 * same reason.
 */
function exactly(
  objects: readonly JsonObject[],
  fields: FieldTree,
  path: Gap['path'] & object,
  { clientNames }: FailedFetch,
): Gap {
  const inAnswer = path.map((element) =>
    typeof element === 'string' ? (clientNames.get(element) ?? element) : element,
  );
  return { objects, fields, path: inAnswer, suspects: none };
}

/** The subgraph has not said where it was, or no more than names: any null may be because of it. */
function somewhere(objects: readonly JsonObject[], fields: FieldTree, names: readonly string[]): Gap {
  const named = narrowed(fields, names);
  const suspects = named ?? new Map([...fields.keys()].map((name) => [name, none]));
  return { objects, fields, path: undefined, suspects, ...(named ? { named: names[0] ?? '' } : {}) };
}

/** Of the fields the one at the path of names; undefined if there is none. */
function narrowed(fields: FieldTree, [name = '', ...rest]: readonly string[]): FieldTree | undefined {
  const inner = fields.get(name);
  if (!inner) return undefined;
  const below = rest.length > 0 ? narrowed(inner, rest) : inner;
  return below && new Map([[name, below]]);
}

function inData(path: readonly (string | number)[], { fetched }: FailedFetch): (string | number)[] {
  return path.map((element) => (typeof element === 'string' ? originalName(element, fetched) : element));
}

function failureOf(error: SubgraphError, { subgraph, fetched }: FailedFetch, gap: Gap): Failure {
  const { message, extensions, refusal, locations, path } = error;
  const own = { code: refusal?.code ?? 'DOWNSTREAM_SERVICE_ERROR', ...extensions, serviceName: subgraph };
  const [location] = path ? [] : (locations ?? []);
  const named = location && fieldAtLocation(fetched, location);
  return {
    error: refusal
      ? { message: refusal.message, extensions: { code: refusal.code, serviceName: subgraph } }
      : { message, extensions: own },
    cause: new ErrorOfSubgraph({ message, extensions: own }),
    origin: error,
    gap: named === undefined ? gap : { ...gap, named },
  };
}
