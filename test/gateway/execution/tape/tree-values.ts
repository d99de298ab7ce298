/** A tree as plain values, for those who look into them. */
import { parseExactJson } from '../../../../platform/json/exact-json.js';
import { put, type JsonObject } from '../../../../gateway/execution/json.js';
import type { Tape } from '../../../../gateway/execution/tape/tape.js';

export function treeValues(tape: Tape, tree: JsonObject): JsonObject {
  const values: JsonObject = {};
  for (const name in tree) put(values, name, treeValue(tape, tree[name]));
  return values;
}

function treeValue(tape: Tape, value: unknown): unknown {
  if (typeof value === 'number') return parseExactJson(tape.text(value));
  if (Array.isArray(value)) return value.map((element: unknown) => treeValue(tape, element));
  return typeof value === 'object' && value !== null ? treeValues(tape, value as JsonObject) : value;
}
