/**
 * What PostgreSQL's jsonb can hold is less than what JSON can say: no U+0000 and no half of a surrogate pair in strings
 * (https://www.postgresql.org/docs/current/datatype-json.html), and the sender's nesting must not exhaust our stack.
 * People are told (`assertStorableJson`), what devices say is refused or, where an answer is waited for, mended.
 */
import { FleetgraphError } from '../errors.js';

/** What `JSON.parse` gives. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

// eslint-disable-next-line no-control-regex -- U+0000 is what it looks for
const unstorable = /\u0000|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

const textFault = "has the character U+0000 or half of a surrogate pair, which can't be stored";

/** Whether a text column and jsonb take the string. */
export function isStorableText(text: string): boolean {
  return text.search(unstorable) === -1;
}

/**
 * Checks that the text, an argument of a client, can be stored: before its length is looked at, which would be blamed else.
 * @throws FleetgraphError BAD_USER_INPUT.
 */
export function assertStorableText(text: string, field: string): void {
  if (!isStorableText(text)) throw new FleetgraphError('BAD_USER_INPUT', `${field} ${textFault}.`, { field });
}

/** The text with U+FFFD in place of what can't be stored, cut to `maxLength` UTF-16 units. */
export function storableText(text: string, maxLength = Infinity): string {
  const cut = text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`;
  return cut.replaceAll(unstorable, '\uFFFD');
}

/** The value with all its strings and keys mended; deeper than `maxDepth` levels it is given as the text of its JSON. */
export function storableJson(value: Json, maxDepth = 64): Json {
  if (typeof value === 'string') return storableText(value);
  if (value === null || typeof value !== 'object') return value;
  if (maxDepth === 0) return storableText(JSON.stringify(value));
  if (isArray(value)) return value.map((item) => storableJson(item, maxDepth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [storableText(key), storableJson(item, maxDepth - 1)]),
  );
}

/** Why the value can't be stored, with its place: for a sentence that begins with `name`. undefined if it can. */
export function jsonFault(
  value: Json,
  name: string,
  maxDepth: number,
): { readonly path: string; readonly fault: string } | undefined {
  const open: { readonly value: Json; readonly path: string; readonly depth: number }[] = [
    { value, path: name, depth: 1 },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value: item, path: full, depth } = next;
    const path = full.slice(0, 200);
    if (typeof item === 'string' && !isStorableText(item)) return { path, fault: textFault };
    if (typeof item === 'number' && !Number.isFinite(item)) return { path, fault: 'is a number out of range' };
    if (item === null || typeof item !== 'object') continue;
    if (depth > maxDepth) return { path: name, fault: `is nested deeper than ${maxDepth} levels` };
    if (isArray(item)) {
      item.forEach((child, index) => open.push({ value: child, path: `${full}[${index}]`, depth: depth + 1 }));
    } else {
      for (const [key, child] of Object.entries(item)) {
        if (!isStorableText(key)) return { path, fault: textFault };
        open.push({ value: child, path: `${full}.${key}`, depth: depth + 1 });
      }
    }
  }
  return undefined;
}

/**
 * Checks that the value, an argument of a client, can be stored.
 * @throws FleetgraphError BAD_USER_INPUT that names the place in it.
 */
export function assertStorableJson(value: Json, field: string, maxDepth: number): void {
  const found = jsonFault(value, field, maxDepth);
  if (found) throw new FleetgraphError('BAD_USER_INPUT', `${found.path} ${found.fault}.`, { field: found.path });
}

function isArray(value: readonly Json[] | JsonObject): value is readonly Json[] {
  return Array.isArray(value);
}
