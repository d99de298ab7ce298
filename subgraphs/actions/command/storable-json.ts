/**
 * What PostgreSQL's jsonb can hold is less than what JSON can say: no U+0000 and no half of a surrogate pair in strings
 * (https://www.postgresql.org/docs/current/datatype-json.html), and the sender's nesting must not exhaust our stack.
 * People are told; a device, which nobody can tell, has its answer mended, because an answer that can't be stored would
 * leave the command open until it expires.
 */
import { FleetgraphError } from '../../../platform/errors.js';
import type { Json } from './command.js';

// eslint-disable-next-line no-control-regex -- U+0000 is what it looks for
const unstorable = /\u0000|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

/** Whether a text column and jsonb take the string. */
export function isStorableText(text: string): boolean {
  return text.search(unstorable) === -1;
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

/**
 * Checks that the value, an argument of a client, can be stored.
 * @throws FleetgraphError BAD_USER_INPUT that names the place in it.
 */
export function assertStorableJson(value: Json, field: string, maxDepth: number): void {
  const open: { readonly value: Json; readonly path: string; readonly depth: number }[] = [
    { value, path: field, depth: 1 },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value: item, path, depth } = next;
    if (typeof item === 'string') assertStorableText(item, path);
    if (typeof item === 'number' && !Number.isFinite(item)) {
      throw new FleetgraphError('BAD_USER_INPUT', `${path.slice(0, 200)} is a number out of range.`, {
        field: path.slice(0, 200),
      });
    }
    if (item === null || typeof item !== 'object') continue;
    if (depth > maxDepth) {
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        `${field} is nested deeper than ${maxDepth} levels. Make it flatter.`,
        {
          field,
        },
      );
    }
    if (isArray(item)) {
      item.forEach((child, index) => open.push({ value: child, path: `${path}[${index}]`, depth: depth + 1 }));
    } else {
      for (const [key, child] of Object.entries(item)) {
        assertStorableText(key, path);
        open.push({ value: child, path: `${path}.${key}`, depth: depth + 1 });
      }
    }
  }
}

function assertStorableText(text: string, field: string): void {
  if (isStorableText(text)) return;
  throw new FleetgraphError(
    'BAD_USER_INPUT',
    `${field.slice(0, 200)} has the character U+0000 or half of a surrogate pair, which can't be stored. Leave it out.`,
    { field: field.slice(0, 200) },
  );
}

function isArray(value: readonly Json[] | { readonly [key: string]: Json }): value is readonly Json[] {
  return Array.isArray(value);
}
