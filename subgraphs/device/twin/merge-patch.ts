/** JSON Merge Patch (RFC 7396). */
import type { JsonObject } from '../../../platform/database/storable.js';

/** The target after the patch: members that are null in the patch are removed, objects merged, anything else replaced. */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  // A Map, and not an object, while it is put together: a member called "__proto__" is a member like any other.
  const merged = new Map(Object.entries(target));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      merged.delete(key);
    } else if (isObject(value)) {
      const before = merged.get(key);
      merged.set(key, mergePatch(isObject(before) ? before : {}, value));
    } else {
      merged.set(key, value);
    }
  }
  return Object.fromEntries(merged);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
