/**
 * Joins what a subgraph gave into what is there, in place: objects field by field, lists of the same length element by element;
 * anything else is replaced. What is known of an object's type stays: an interface object, to its subgraph, is of the type of
 * the interface.
 */
import { isAbstractType, type GraphQLSchema } from 'graphql';
import { isObject, own, put, type JsonObject } from '../json.js';

/** Names of types that no object is of. */
export type AbstractTypes = ReadonlySet<string>;

const computed = new WeakMap<GraphQLSchema, AbstractTypes>();

export function abstractTypesOf(schema: GraphQLSchema): AbstractTypes {
  const found = computed.get(schema);
  if (found) return found;
  const all = Object.values(schema.getTypeMap()).filter(isAbstractType);
  const made = new Set(all.map(({ name }) => name));
  computed.set(schema, made);
  return made;
}

const none: AbstractTypes = new Set();

export function merge(target: JsonObject, source: JsonObject, abstractTypes = none): void {
  for (const name in source) {
    const given = source[name];
    if (given === undefined) continue;
    if (typeof given === 'object' && given !== null) {
      const known = own(target, name);
      if (known !== given && mergeInto(known, given, abstractTypes)) continue;
    } else if (name === '__typename' && abstractTypes.has(given as string) && target[name] !== undefined) continue;
    put(target, name, given);
  }
}

/** Joins an object or a list into what is known of it. @returns whether it could be joined. */
export function mergeInto(known: unknown, given: object, abstractTypes: AbstractTypes): boolean {
  if (typeof known !== 'object' || known === null) return false;
  if (!Array.isArray(given)) {
    if (Array.isArray(known)) return false;
    merge(known as JsonObject, given as JsonObject, abstractTypes);
    return true;
  }
  if (!Array.isArray(known) || known.length !== given.length) return false;
  for (let index = 0; index < given.length; index += 1) {
    const element: unknown = given[index];
    if (isObject(element) && isObject(known[index])) merge(known[index] as JsonObject, element, abstractTypes);
    else if (!(Array.isArray(element) && mergeInto(known[index], element, abstractTypes))) known[index] = element;
  }
  return true;
}
