import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSameEntities } from '../../../gateway/execution/plan/same-entities.js';
import { Tape } from '../../../gateway/execution/tape/tape.js';

test('entities with the same leaves are one, others are not, whatever their hashes are', () => {
  const text = fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom('a', 'b', 'ab'));
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text)), (all) => {
      const tape = new Tape();
      const same = createSameEntities(tape, ['id', 'name']);
      const places = new Map<string, number>();
      for (const [id, name] of all) {
        const words = JSON.stringify([id, name]);
        const entity = { id: tape.leaf(JSON.stringify(id)), name: tape.leaf(JSON.stringify(name)) };
        const found = same.find(entity);
        if (found !== undefined) expect(found).toBe(places.get(words));
        else {
          places.set(words, places.get(words) ?? places.size);
          same.add(entity, places.get(words) ?? -1);
        }
      }
    }),
  );
});

test('an entity that lacks a leaf is not found', () => {
  const tape = new Tape();
  const same = createSameEntities(tape, ['id', 'name']);
  expect(same.find({ id: tape.leaf('"a"') })).toBeUndefined();
  same.add({ id: tape.leaf('"a"') }, 0);
  expect(same.find({ id: tape.leaf('"a"'), name: null })).toBeUndefined();
});
