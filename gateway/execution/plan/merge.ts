/**
 * Joins what a subgraph gave into what is there, in place: objects field by field, lists of the same length element by element;
 * anything else is replaced.
 */
import { isObject, own, put, type JsonObject } from '../json.js';

export function merge(target: JsonObject, source: JsonObject): void {
  for (const name in source) {
    const given = source[name];
    if (given === undefined) continue;
    if (typeof given === 'object' && given !== null) {
      const known = own(target, name);
      if (known !== given && mergeInto(known, given)) continue;
    }
    put(target, name, given);
  }
}

/** @returns whether it could be joined. */
function mergeInto(known: unknown, given: object): boolean {
  if (typeof known !== 'object' || known === null) return false;
  if (!Array.isArray(given)) {
    if (Array.isArray(known)) return false;
    merge(known as JsonObject, given as JsonObject);
    return true;
  }
  if (!Array.isArray(known) || known.length !== given.length) return false;
  for (let index = 0; index < given.length; index += 1) {
    const element: unknown = given[index];
    if (isObject(element) && isObject(known[index])) merge(known[index] as JsonObject, element);
    else if (!(Array.isArray(element) && mergeInto(known[index], element))) known[index] = element;
  }
  return true;
}
