/**
 * Finds entities that a subgraph would be told of in the same words, without making the words: by the bytes
 * of their leaves. An entity is in an answer as often as others refer to it.
 */
import type { JsonObject } from '../json.js';
import type { Tape } from '../tape/tape.js';

export interface SameEntities {
  /** The place of one that was added and has the same leaves; undefined if there is none, or not all of them are leaves. */
  find(entity: JsonObject): number | undefined;
  /** Adds the entity that was last looked for in vain. */
  add(entity: JsonObject, place: number): void;
}

/** @param names of the leaves that tell them apart; they are of one type */
export function createSameEntities(tape: Tape, names: readonly string[]): SameEntities {
  const known = new Map<number, { readonly entity: JsonObject; readonly place: number }>();
  let hash: number | undefined;
  return {
    find(entity) {
      hash = hashOf(tape, entity, names);
      const found = hash === undefined ? undefined : known.get(hash);
      return found && areSame(tape, found.entity, entity, names) ? found.place : undefined;
    },
    add(entity, place) {
      // Of two that have one hash, the first is found.
      if (hash !== undefined && !known.has(hash)) known.set(hash, { entity, place });
    },
  };
}

/** FNV-1a of the leaves' bytes; undefined if one is missing, null, or no leaf. */
function hashOf({ bytes, spans }: Tape, entity: JsonObject, names: readonly string[]): number | undefined {
  let hash = 0x811c9dc5;
  for (let index = 0; index < names.length; index += 1) {
    const leaf = entity[names[index] as string];
    if (typeof leaf !== 'number') return undefined;
    const end = spans[2 * leaf + 1] as number;
    for (let at = spans[2 * leaf] as number; at < end; at += 1)
      hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  }
  return hash;
}

function areSame({ bytes, spans }: Tape, one: JsonObject, other: JsonObject, names: readonly string[]): boolean {
  for (let index = 0; index < names.length; index += 1) {
    const [first, second] = [one[names[index] as string] as number, other[names[index] as string] as number];
    if (first === second) continue;
    const [start, from] = [spans[2 * first] as number, spans[2 * second] as number];
    const length = (spans[2 * first + 1] as number) - start;
    if (length !== (spans[2 * second + 1] as number) - from) return false;
    for (let at = 0; at < length; at += 1) if (bytes[start + at] !== bytes[from + at]) return false;
  }
  return true;
}
