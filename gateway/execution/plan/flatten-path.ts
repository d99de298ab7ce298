/**
 * Where in the data a fetch belongs: `['users', '@', 'reviews', '@', 'product']`. Lists are gone into wherever they are, so the
 * places of their elements, `@`, say nothing; what is null, or not there, is left out. An element may say of which types the object
 * there must be, `'review|[UserReview,StaffReview]'`; one whose type is not known may be any of them.
 */
import { isInherited, own, type JsonObject } from '../json.js';

export type ResponsePath = readonly (string | number)[];

/** @returns the objects at the path, in order. */
export function compileCollector(path: ResponsePath): (root: JsonObject) => JsonObject[] {
  const { names, conditions } = stepsOf(path);
  const last = names.length;
  const isPlain = !names.some(isInherited);
  const collect = (value: unknown, depth: number, found: JsonObject[]): void => {
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) {
      for (let index = 0; index < value.length; index += 1) collect(value[index], depth, found);
    } else if (conditions && !fits(value as JsonObject, conditions[depth])) {
      return;
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
  const { names, conditions } = stepsOf(path);
  const found: Place[] = [];
  const walk = (value: unknown, depth: number, at: ResponsePath, ancestors: readonly JsonObject[]): void => {
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) value.forEach((element, index) => walk(element, depth, [...at, index], ancestors));
    else if (conditions && !fits(value as JsonObject, conditions[depth])) return;
    else if (depth === names.length) found.push({ path: at, ancestors });
    else {
      const name = names[depth] as string;
      walk(own(value as JsonObject, name), depth + 1, [...at, name], [...ancestors, value as JsonObject]);
    }
  };
  walk(root, 0, [], []);
  return found;
}

/** Names of the path, without what it says of lists and types. */
export function namesOnPath(path: ResponsePath): readonly string[] {
  return stepsOf(path).names;
}

interface Steps {
  readonly names: readonly string[];
  /** Of which types the object must be before the name with the same index; undefined if none of them says so. */
  readonly conditions: readonly (ReadonlySet<string> | undefined)[] | undefined;
}

function stepsOf(path: ResponsePath): Steps {
  const names: string[] = [];
  const conditions: (ReadonlySet<string> | undefined)[] = [];
  for (const element of path) {
    if (typeof element !== 'string') continue;
    const name = nameIn(element);
    if (name !== '' && name !== '@') names.push(name);
    if (name !== element) conditions[names.length] = new Set(element.slice(name.length + 2, -1).split(','));
  }
  return { names, conditions: conditions.length > 0 ? conditions : undefined };
}

function nameIn(element: string): string {
  const condition = element.indexOf('|[');
  return condition === -1 ? element : element.slice(0, condition);
}

function fits(object: JsonObject, types: ReadonlySet<string> | undefined): boolean {
  const typename = object['__typename'];
  return types === undefined || typeof typename !== 'string' || types.has(typename);
}
