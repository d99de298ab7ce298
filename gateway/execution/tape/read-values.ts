/** Parsed values as the tree of a tape: for answers that the compiled reader does not read, and of subgraphs in this process. */
import { exactJson, isLosslessNumber } from '../../../platform/json/exact-json.js';
import { put, type JsonObject } from '../json.js';
import type { AnswerField } from './answer-shape.js';
import type { Tape } from './tape.js';

/** The tree of an object. Members that the shape does not have are left out: nobody asked for them. */
export function readValues(tape: Tape, fields: readonly AnswerField[], object: JsonObject): JsonObject {
  const tree: JsonObject = {};
  for (const field of fields) {
    const value = Object.hasOwn(object, field.name) ? object[field.name] : undefined;
    if (value !== undefined) put(tree, field.name, readValue(tape, field, value));
  }
  return tree;
}

function readValue(tape: Tape, field: AnswerField, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (field.name === '__typename') return typeof value === 'string' ? value : tape.leaf(jsonOf(value));
  if (Array.isArray(value) && (field.fields !== undefined || field.isList))
    return value.map((element: unknown) => readValue(tape, field, element));
  return field.fields !== undefined && isRecord(value)
    ? readValues(tape, field.fields, value)
    : tape.leaf(jsonOf(value));
}

/** Also of what is no JSON, of a subgraph in this process: a function, or a number that is not finite, is null. */
function jsonOf(value: unknown): string {
  return exactJson(value) ?? 'null';
}

function isRecord(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value);
}
