/**
 * The answer from what the subgraphs gave, with everything that can be wrong in it: null where nothing may be null goes up to
 * what may be null, what doesn't fit its type becomes null, and each has an error with its path, as the GraphQL specification
 * says (6.4.4). The compiled writer gives the same answers when nothing is wrong, much faster; this is what it is compared with.
 */
import {
  GraphQLError,
  isCompositeType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  type GraphQLOutputType,
} from 'graphql';
import { own, put, type JsonObject } from '../json.js';
import { isLosslessNumber } from '../../../platform/json/exact-json.js';
import { leafValue } from './leaf-values.js';
import type { FieldShape, ResponseShape, ShapeType } from './response-shape.js';

type Path = readonly (string | number)[];

/** What stands for a null that may not stay where it is. */
const invalid = Symbol('invalid');

export interface Completed {
  readonly data: JsonObject | null;
  readonly errors: readonly GraphQLError[];
}

/** @param introspection the answers to `__schema` and `__type`, by their names in the answer. */
export function complete(shape: ResponseShape, data: JsonObject, introspection: JsonObject): Completed {
  const errors: GraphQLError[] = [];
  const fault = (message: string, path: Path): void => {
    errors.push(new GraphQLError(message, { path, extensions: { code: 'INTERNAL_SERVER_ERROR' } }));
  };

  const completeObject = (
    object: JsonObject,
    type: ShapeType,
    fields: readonly FieldShape[],
    path: Path,
  ): JsonObject | typeof invalid => {
    const completed: JsonObject = {};
    for (const field of fields) {
      const at = [...path, field.key];
      let value: unknown;
      if (field.denial) {
        const { message, code } = field.denial;
        errors.push(new GraphQLError(message, { path: at, extensions: { code } }));
        value = isNonNullType(field.type) ? invalid : null;
      } else if (field.kind === 'introspection') value = introspection[field.key];
      else if (field.kind === 'data') value = completeValue(field.type, own(object, field.dataKey), field, at);
      else if (isObjectType(type)) value = type.name;
      else {
        fault(`It is not known which ${type.name} this is.`, at);
        value = invalid;
      }
      if (value === invalid) return invalid;
      put(completed, field.key, value);
    }
    return completed;
  };

  const completeValue = (type: GraphQLOutputType, value: unknown, field: FieldShape, path: Path): unknown => {
    if (!isNonNullType(type)) {
      const completed = completeNullable(type, value, field, path);
      return completed === invalid ? null : completed;
    }
    const before = errors.length;
    const completed = completeNullable(type.ofType as GraphQLOutputType, value, field, path);
    if (completed !== null && completed !== invalid) return completed;
    if (errors.length === before)
      fault(`Cannot return null for non-nullable field ${field.parent.name}.${field.name}.`, path);
    return invalid;
  };

  const completeNullable = (type: GraphQLOutputType, value: unknown, field: FieldShape, path: Path): unknown => {
    if (value === null || value === undefined) return null;
    if (isListType(type)) {
      if (!Array.isArray(value)) return misfit(field, path);
      const completed: unknown[] = [];
      let isValid = true;
      value.forEach((element, index) => {
        const item = completeValue(type.ofType, element, field, [...path, index]);
        if (item === invalid) isValid = false;
        completed.push(item);
      });
      return isValid ? completed : invalid;
    }
    if (isLeafType(type)) {
      const leaf = leafValue(type, value);
      return leaf === undefined ? misfit(field, path) : leaf;
    }
    if (!isObject(value)) return misfit(field, path);
    const actual = typeOf(shape, type as ShapeType, value);
    if (!actual) {
      fault(`Invalid __typename found for ${field.parent.name}.${field.name}.`, path);
      return null;
    }
    return completeObject(value, actual, shape.fieldsOf(field, actual), path);
  };

  const misfit = (field: FieldShape, path: Path): null => {
    fault(`Invalid value found for ${field.parent.name}.${field.name}.`, path);
    return null;
  };

  const [first] = shape.root;
  const completed = first ? completeObject(data, first.parent, shape.root, []) : {};
  return { data: completed === invalid ? null : completed, errors };
}

/** The type that the object says it is of; that of its place if it doesn't say. Undefined if it can't be there. */
function typeOf({ schema }: ResponseShape, declared: ShapeType, object: JsonObject): ShapeType | undefined {
  const typename = own(object, '__typename');
  if (typename === undefined || typename === declared.name) return declared;
  const type = typeof typename === 'string' ? schema.getType(typename) : undefined;
  if (!type || !isCompositeType(type) || isObjectType(declared)) return undefined;
  return 'getInterfaces' in type && schema.isSubType(declared, type) ? type : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value);
}
