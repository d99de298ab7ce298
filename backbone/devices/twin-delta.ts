/**
 * What of the desired state a device does not have yet: members of the desired state that the reported one lacks or has with
 * another value, objects member by member, anything else as a whole. Members that only the device has are its own business.
 * So it is a JSON Merge Patch (RFC 7396): a device that applies it to what it reported, and reports that, is in sync.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Json, JsonObject } from '../../platform/database/storable.js';

/** The two halves of a twin, with their versions. */
export interface Twin {
  readonly desired: JsonObject;
  /** Goes up with each change; 0 if nothing was ever desired. */
  readonly desiredVersion: number;
  readonly desiredAt: Date | null;
  readonly reported: JsonObject;
  readonly reportedVersion: number;
  readonly reportedAt: Date | null;
}

export const emptyTwin: Twin = {
  desired: {},
  desiredVersion: 0,
  desiredAt: null,
  reported: {},
  reportedVersion: 0,
  reportedAt: null,
};

/** The difference; without members when the device is in sync. */
export function twinDelta({ desired, reported }: Pick<Twin, 'desired' | 'reported'>): JsonObject {
  // Own members only, and put together apart from any prototype: a member may be called "__proto__".
  return Object.fromEntries(
    Object.entries(desired).flatMap(([key, wanted]): [string, Json][] => {
      const has = Object.hasOwn(reported, key) ? reported[key] : undefined;
      // In a patch null removes: what is to be gone, and is not there, is as it should be.
      if (wanted === null) return has === undefined || has === null ? [] : [[key, null]];
      if (!isObject(wanted) || !isObject(has)) return isDeepStrictEqual(wanted, has) ? [] : [[key, wanted]];
      const inner = twinDelta({ desired: wanted, reported: has });
      return Object.keys(inner).length === 0 ? [] : [[key, inner]];
    }),
  );
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `DeviceTwin` of the graph. */
export function twinView(twin: Twin) {
  const delta = twinDelta(twin);
  return {
    desired: { state: twin.desired, version: twin.desiredVersion, updatedAt: twin.desiredAt },
    reported: { state: twin.reported, version: twin.reportedVersion, updatedAt: twin.reportedAt },
    delta,
    inSync: Object.keys(delta).length === 0,
  };
}

export type TwinView = ReturnType<typeof twinView>;
