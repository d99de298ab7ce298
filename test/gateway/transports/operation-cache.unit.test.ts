import { buildSchema, parse } from 'graphql';
import { expect, test } from 'vitest';
import { createOperationCache } from '../../../gateway/transports/operation-cache.js';
import { createOperations } from '../../../gateway/transports/operations.js';
import type { Guards } from '../../../gateway/guards/guards.js';
import type { Supergraph } from '../../../gateway/supergraph/supergraph.js';

const bounds = { usedCharacters: 10_000, newCharacters: 2_000 };

test('what came twice outlives a flood of what comes once', () => {
  const cache = createOperationCache<{ readonly text: string }>(bounds);
  cache.set('{ used }', { text: 'used' });
  expect(cache.get('{ used }')).toEqual({ text: 'used' });
  for (let index = 0; index < 10_000; index += 1) cache.set(`{ flood${index} }`, { text: '' });
  expect(cache.get('{ used }')).toEqual({ text: 'used' });
  expect(cache.get('{ flood0 }')).toBeUndefined();
  expect(cache.used()).toEqual(['{ used }']);
});

test('what is replaced keeps its place', () => {
  const cache = createOperationCache<{ readonly of: number }>(bounds);
  cache.set('{ a }', { of: 1 });
  cache.get('{ a }');
  cache.set('{ a }', { of: 2 });
  for (let index = 0; index < 100; index += 1) cache.set(`{ flood${index} }`, { of: 0 });
  expect(cache.get('{ a }')).toEqual({ of: 2 });
});

/** Operations whose parsing is counted. */
function counted() {
  let parsed = 0;
  let current = { apiSchema: buildSchema('type Query { a: Int }') } as Supergraph;
  const guards: Guards = {
    parse(text) {
      parsed += 1;
      return parse(text);
    },
    guard: () => ({
      admit: () => undefined,
      restrictionFor: () => ({ variant: '' }),
      costs: () => ({ estimated: 0, actual: 0, limit: 0 }),
    }),
  };
  const find = createOperations({ supergraph: () => current, prepare: () => ({}) as never, guards, cache: bounds });
  return {
    find: (query: string) => find({ query, operationName: undefined }),
    parsed: () => parsed,
    reload: () => void (current = { ...current }),
  };
}

test('a text is looked at once, and once more for a new supergraph', () => {
  const { find, parsed, reload } = counted();
  for (let count = 0; count < 10; count += 1) find('{ a }');
  expect(parsed()).toBe(1);
  reload();
  for (let count = 0; count < 10; count += 1) find('{ a }');
  expect(parsed()).toBe(2);
});

test('a thousand texts that come once cost the clients that were there nothing', () => {
  const { find, parsed } = counted();
  for (let count = 0; count < 2; count += 1) find('{ a }');
  for (let index = 0; index < 1_000; index += 1) find(`{ a${index}: a }`);
  find('{ a }');
  expect(parsed()).toBe(1_001);
});
