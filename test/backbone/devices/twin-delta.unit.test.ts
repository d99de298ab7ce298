import fc from 'fast-check';
import { expect, test } from 'vitest';
import { twinDelta, twinView, emptyTwin } from '../../../backbone/devices/twin-delta.js';
import type { JsonObject } from '../../../platform/database/storable.js';
import { mergePatch } from '../../../subgraphs/device/twin/merge-patch.js';

const state = fc
  .dictionary(fc.constantFrom('a', 'b', 'c', 'constructor', '__proto__'), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 })
  .map((value) => JSON.parse(JSON.stringify(value)) as JsonObject);

test('a device that applies the delta to what it reported, and reports that, is in sync', () => {
  fc.assert(
    fc.property(state, state, (desired, reported) => {
      const delta = twinDelta({ desired, reported });
      expect(twinDelta({ desired, reported: mergePatch(reported, delta) })).toEqual({});
    }),
    { numRuns: 2_000 },
  );
});

test('a device that reports what is desired is in sync, whatever else it reports', () => {
  fc.assert(
    fc.property(state, state, (desired, more) => {
      const reported = { ...more, ...(JSON.parse(JSON.stringify(desired)) as JsonObject) };
      expect(twinDelta({ desired, reported })).toEqual({});
    }),
  );
});

test.each([
  [{ a: 1 }, { a: 1, b: 2 }, {}],
  [{ a: 1 }, { a: 2 }, { a: 1 }],
  [{ a: 1 }, {}, { a: 1 }],
  [{ a: { b: 1, c: 2 } }, { a: { b: 1, c: 3, d: 4 } }, { a: { c: 2 } }],
  [{ a: { b: 1 } }, { a: [1] }, { a: { b: 1 } }],
  [{ a: [1, 2] }, { a: [2, 1] }, { a: [1, 2] }],
  [{ a: null }, { a: 1 }, { a: null }],
  [{ a: null }, {}, {}],
  [{ constructor: 1 }, {}, { constructor: 1 }],
])('desired %j, reported %j: %j is left', (desired, reported, delta) => {
  const view = twinView({ ...emptyTwin, desired: desired, reported: reported });
  expect(view).toMatchObject({ delta, inSync: Object.keys(delta).length === 0 });
});
