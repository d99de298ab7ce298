/**
 * The answer from what the subgraphs gave, with everything that can be wrong in it: null where nothing may be null goes up to
 * what may be null, what doesn't fit its type becomes null, and each has an error with its path, as the GraphQL specification
 * says (6.4.4). The compiled writer gives the same answers when nothing is wrong, much faster; this is what it is compared with.
 */
import {
  getNullableType,
  GraphQLError,
  isCompositeType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  type GraphQLOutputType,
} from 'graphql';
import { isLosslessNumber, parseExactJson } from '../../../platform/json/exact-json.js';
import { own, put, type JsonObject } from '../json.js';
import { misfitCode } from '../subgraphs/errors-of-subgraphs.js';
import type { FailurePlaces, Path } from './failure-places.js';
import type { Tape } from '../tape/tape.js';
import { leafValue } from './leaf-values.js';
import { dependsOnType, type FieldShape, type ResponseShape, type ShapeType } from './response-shape.js';

/** What stands for a null that may not stay where it is. */
const invalid = Symbol('invalid');

export interface Completed {
  readonly data: JsonObject | null;
  readonly errors: readonly GraphQLError[];
}

/**
 * @param data a tree of the tape
 * @param introspection the answers to `__schema` and `__type`, by their names in the answer.
 * @param failures told in the places where something is missing because of them
 */
export function complete(
  shape: ResponseShape,
  tape: Tape,
  data: JsonObject,
  introspection: JsonObject,
  failures?: FailurePlaces,
): Completed {
  const errors: GraphQLError[] = [];
  const fault = (message: string, path: Path): void => {
    if (failures?.isTold(path) === true) return;
    errors.push(new GraphQLError(message, { path, extensions: { code: misfitCode } }));
  };

  const completeObject = (
    object: JsonObject,
    type: ShapeType,
    fields: readonly FieldShape[],
    path: Path,
  ): JsonObject | typeof invalid => {
    const completed: JsonObject = {};
    let isValid = true;
    for (const field of fields) {
      const at = [...path, field.key];
      let value: unknown;
      if (field.denial) {
        const { message, code } = field.denial;
        errors.push(new GraphQLError(message, { path: at, extensions: { code } }));
        value = isNonNullType(field.type) ? invalid : null;
      } else if (field.kind === 'introspection') value = introspection[field.key];
      else if (field.kind === 'data') value = completeField(object, field, at);
      else if (isObjectType(type)) value = type.name;
      else {
        if (failures?.explains({ object, name: '__typename', isMissing: true }, at) !== true)
          fault(`It is not known which ${type.name} this is.`, at);
        value = invalid;
      }
      if (value !== invalid) put(completed, field.key, value);
      else if (!failures) return invalid;
      // Each failure is reported, also if its field goes away with the object.
      else isValid = false;
    }
    return isValid ? completed : invalid;
  };

  const completeField = (object: JsonObject, field: FieldShape, path: Path): unknown => {
    const { dataKey, type } = field;
    const value = own(object, dataKey);
    const isMissing = value === undefined;
    if (!isMissing && value !== null) return completeValue(type, value, { object, field, isPlain: false }, path);
    const isExplained = failures?.explains({ object, name: dataKey, isMissing }, path) === true;
    return completeNull(type, field, path, isExplained);
  };

  const completeNull = (type: GraphQLOutputType, field: FieldShape, path: Path, isExplained: boolean): unknown => {
    if (!isNonNullType(type)) return null;
    if (!isExplained) fault(`Cannot return null for non-nullable field ${field.parent.name}.${field.name}.`, path);
    return invalid;
  };

  const completeValue = (type: GraphQLOutputType, value: unknown, holder: Holder, path: Path): unknown => {
    if (value === null || value === undefined)
      return completeNull(type, holder.field, path, failures?.isTold(path) === true);
    const completed =
      typeof value === 'number' && !holder.isPlain
        ? completePresent(getNullableType(type), leafIn(tape, value), { ...holder, isPlain: true }, path)
        : completePresent(getNullableType(type), value, holder, path);
    if (completed !== null && completed !== invalid) return completed;
    return isNonNullType(type) ? invalid : null;
  };

  /** @returns null or `invalid` if there is no such value; then an error has been told. */
  const completePresent = (type: GraphQLOutputType, value: unknown, holder: Holder, path: Path): unknown => {
    const { field } = holder;
    if (isListType(type)) {
      if (!Array.isArray(value)) return misfit(field, path);
      const completed: unknown[] = [];
      let isValid = true;
      value.forEach((element, index) => {
        const item = completeValue(type.ofType, element, holder, [...path, index]);
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
    failures?.enter(value, path, { object: holder.object, field: field.dataKey });
    const actual = typeOf(shape, type as ShapeType, value, field);
    if (!actual) {
      if (failures?.explains({ object: value, name: '__typename', isMissing: true }, path) !== true)
        fault(`Invalid __typename found for ${field.parent.name}.${field.name}.`, path);
      return null;
    }
    return completeObject(value, actual, shape.fieldsOf(field, actual), path);
  };

  const misfit = (field: FieldShape, path: Path): null => {
    fault(`Invalid value found for ${field.parent.name}.${field.name}.`, path);
    return null;
  };

  failures?.enter(data, []);
  const [first] = shape.root;
  const completed = first ? completeObject(data, first.parent, shape.root, []) : {};
  return { data: completed === invalid ? null : completed, errors };
}

/** The object that a value is in, and as what. */
interface Holder {
  readonly object: JsonObject;
  readonly field: FieldShape;
  /** Whether the value was a leaf of the tape, and is parsed now: its numbers are no leaves. */
  readonly isPlain: boolean;
}

function leafIn(tape: Tape, leaf: number): unknown {
  return parseExactJson(tape.text(leaf)) ?? null;
}

/**
 * The type that the object says it is of; that of its place if it doesn't say, and what is asked
 * for is the same for all. Undefined if it can't be there.
 */
function typeOf(
  shape: ResponseShape,
  declared: ShapeType,
  object: JsonObject,
  field: FieldShape,
): ShapeType | undefined {
  const typename = own(object, '__typename');
  if (typename === undefined || typename === declared.name)
    return dependsOnType(shape, field, declared) ? undefined : declared;
  const { schema } = shape;
  const type = typeof typename === 'string' ? schema.getType(typename) : undefined;
  if (!type || !isCompositeType(type) || isObjectType(declared)) return undefined;
  return 'getInterfaces' in type && schema.isSubType(declared, type) ? type : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value);
}
