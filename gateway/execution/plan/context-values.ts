/**
 * Arguments that a subgraph takes from what is above an entity (`@fromContext`): found from the entity's place upwards, given
 * as variables. Paths are like `['..', '... on User', 'locale']`.
 */
import type { FetchDataKeyRenamer } from '@apollo/query-planner';
import type { GraphQLSchema } from 'graphql';
import { isObject, own, type JsonObject } from '../json.js';
import { treeText, type Tape } from '../tape/tape.js';
import type { Place } from './flatten-path.js';
import { isOfType } from './rewrites.js';

const onType = '... on ';

/** @returns a function that gives the variables for an entity in its place, as JSON without braces. */
export function compileContextValues(
  schema: GraphQLSchema,
  renamers: readonly FetchDataKeyRenamer[],
): (tape: Tape, entity: JsonObject, place: Place) => string {
  const names = [...new Set(renamers.map(({ renameKeyTo }) => renameKeyTo))];
  return (tape, entity, { ancestors }) =>
    names
      .map((name) => {
        const value = renamers
          .filter(({ renameKeyTo }) => renameKeyTo === name)
          .map(({ path }) => valueAt(schema, entity, ancestors, path))
          .find((found) => found !== undefined);
        return `${JSON.stringify(name)}:${treeText(tape, value)}`;
      })
      .join(',');
}

function valueAt(
  schema: GraphQLSchema,
  entity: JsonObject,
  ancestors: readonly JsonObject[],
  path: readonly string[],
): unknown {
  let value: unknown = entity;
  let height = ancestors.length;
  for (const step of path) {
    if (step === '..') value = ancestors[(height -= 1)];
    else value = into(schema, value, step);
    if (value === undefined) return undefined;
  }
  return value;
}

function into(schema: GraphQLSchema, value: unknown, step: string): unknown {
  if (Array.isArray(value)) return value.map((element) => into(schema, element, step) ?? null);
  if (!isObject(value)) return value === null ? null : undefined;
  if (!step.startsWith(onType)) return own(value, step);
  return isOfType(schema, value, step.slice(onType.length), true) ? value : undefined;
}
