/**
 * Rewrites of a plan: what goes to a subgraph, and what comes from it, under other names or with other values than the
 * supergraph has. Their paths are like `['... on Book', 'author', 'name']`.
 */
import type { FetchDataRewrite } from '@apollo/query-planner';
import { isAbstractType, isInterfaceType, isObjectType, type GraphQLSchema } from 'graphql';
import { isObject, own, put, type JsonObject } from '../json.js';

const onType = '... on ';

export type Rewrite = (value: unknown) => void;

/** @returns undefined if there is nothing to rewrite. */
export function compileRewrites(
  schema: GraphQLSchema,
  rewrites: readonly FetchDataRewrite[] | undefined,
): Rewrite | undefined {
  if (!rewrites || rewrites.length === 0) return undefined;
  const all = rewrites.map((rewrite) => compileRewrite(schema, rewrite));
  return (value) => {
    for (const rewrite of all) rewrite(value);
  };
}

function compileRewrite(schema: GraphQLSchema, rewrite: FetchDataRewrite): Rewrite {
  const parents = rewrite.path.slice(0, -1);
  const name = rewrite.path.at(-1) ?? '';
  const apply = (object: JsonObject): void => {
    if (rewrite.kind === 'ValueSetter') {
      put(object, name, rewrite.setValueTo);
      return;
    }
    const value = own(object, name);
    if (value === undefined) return;
    put(object, rewrite.renameKeyTo, value);
    put(object, name, undefined);
  };
  const walk = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) {
      for (const element of value) walk(element, depth);
      return;
    }
    if (!isObject(value)) return;
    const step = parents[depth];
    if (step === undefined) apply(value);
    else if (!step.startsWith(onType)) walk(own(value, step), depth + 1);
    else if (isOfType(schema, value, step.slice(onType.length), true)) walk(value, depth + 1);
  };
  return (value) => walk(value, 0);
}

/** Whether the object is of the type, or of one that belongs to it. @param unknown what holds for an object that doesn't say. */
export function isOfType(schema: GraphQLSchema, object: JsonObject, condition: string, unknown = false): boolean {
  const typename = object['__typename'];
  if (typeof typename !== 'string') return unknown;
  return isTypeOf(schema, typename, condition);
}

export function isTypeOf(schema: GraphQLSchema, typename: string, condition: string): boolean {
  if (condition === typename) return true;
  const type = schema.getType(typename);
  const wanted = schema.getType(condition);
  return isAbstractType(wanted) && (isObjectType(type) || isInterfaceType(type)) && schema.isSubType(wanted, type);
}
