/**
 * Where in the data a fetch belongs: `['users', '@', 'reviews', '@', 'product']`. Lists are gone into wherever they are, so the
 * places of their elements, `@`, say nothing; what is null, or not there, is left out.
 */
import { isInherited, own, type JsonObject } from '../json.js';

export type ResponsePath = readonly (string | number)[];

/** @returns the objects at the path, in order. */
export function compileCollector(path: ResponsePath): (root: JsonObject) => JsonObject[] {
  const names = namesOf(path);
  const last = names.length;
  const isPlain = !names.some(isInherited);
  const collect = (value: unknown, depth: number, found: JsonObject[]): void => {
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) {
      for (let index = 0; index < value.length; index += 1) collect(value[index], depth, found);
    } else if (depth === last) {
      found.push(value as JsonObject);
    } else {
      const name = names[depth] as string;
      collect(isPlain ? (value as JsonObject)[name] : own(value as JsonObject, name), depth + 1, found);
    }
  };
  return (root) => {
    const found: JsonObject[] = [];
    collect(root, 0, found);
    return found;
  };
}

/** An object with what leads to it. */
export interface Place {
  readonly path: ResponsePath;
  /** Objects from the root to the one that holds it. */
  readonly ancestors: readonly JsonObject[];
}

/** The places of what the collector of the same path finds, in the same order. */
export function placesAt(root: JsonObject, path: ResponsePath): Place[] {
  const names = namesOf(path);
  const found: Place[] = [];
  const walk = (value: unknown, depth: number, at: ResponsePath, ancestors: readonly JsonObject[]): void => {
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) value.forEach((element, index) => walk(element, depth, [...at, index], ancestors));
    else if (depth === names.length) found.push({ path: at, ancestors });
    else {
      const name = names[depth] as string;
      walk(own(value as JsonObject, name), depth + 1, [...at, name], [...ancestors, value as JsonObject]);
    }
  };
  walk(root, 0, [], []);
  return found;
}

/** The path up to its first list: what can be said of a fetch as a whole. Undefined for the root. */
export function knownPath(path: ResponsePath): ResponsePath | undefined {
  const list = path.indexOf('@');
  const known = list === -1 ? path : path.slice(0, list);
  return known.length > 0 ? known : undefined;
}

function namesOf(path: ResponsePath): string[] {
  return path.filter((element): element is string => element !== '@' && typeof element === 'string');
}
