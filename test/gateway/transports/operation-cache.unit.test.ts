import { buildSchema, parse, print } from 'graphql';
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

function supergraphOf(sdl: string): Supergraph {
  return { apiSchema: buildSchema(sdl) } as Supergraph;
}

/** Guards that let everything through. */
function guardsThat(read: Guards['parse']): Guards {
  return {
    parse: read,
    guard: () => ({
      admit: () => undefined,
      restrictionFor: () => ({ variant: '' }),
      costs: () => ({ estimated: 0, actual: 0, limit: 0 }),
    }),
  };
}

/** Operations whose parsing is counted. */
function counted() {
  let parsed = 0;
  let current = supergraphOf('type Query { a: Int }');
  const guards = guardsThat((text) => {
    parsed += 1;
    return parse(text);
  });
  const operations = createOperations({
    supergraph: () => current,
    prepare: () => ({}) as never,
    guards,
    cache: bounds,
  });
  return {
    ...{ operations, parsed: () => parsed },
    find: (query: string) => operations.find({ query, operationName: undefined }),
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

test('what can not be planned is not planned again for the next who asks', () => {
  let plans = 0;
  const supergraph = supergraphOf('type Query { a: Int }');
  const operations = createOperations({
    supergraph: () => supergraph,
    prepare() {
      plans += 1;
      throw new Error('it takes too long');
    },
    ...{ guards: guardsThat((text) => parse(text)), cache: bounds },
  });
  const run = () => {
    const found = operations.find({ query: '{ a }', operationName: undefined });
    return 'admit' in found && found.admit(undefined, {}).prepared();
  };
  expect(run).toThrow('it takes too long');
  expect(run).toThrow('it takes too long');
  expect(plans).toBe(1);
});

test('what clients use is planned for the next supergraph before it is there, what came once is not', async () => {
  let current = supergraphOf('type Query { a: Int b: Int }');
  const planned: string[] = [];
  const operations = createOperations({
    supergraph: () => current,
    prepare(document) {
      planned.push(print(document));
      return {} as never;
    },
    ...{ guards: guardsThat((text) => parse(text)), cache: bounds },
  });
  const run = (query: string): void => {
    const found = operations.find({ query, operationName: undefined });
    if ('admit' in found) found.admit(undefined, {}).prepared();
  };
  for (const query of ['{ a }', '{ a }', '{ b }']) run(query);
  planned.length = 0;
  const next = supergraphOf('type Query { a: Int b: Int c: Int }');
  const switched = await operations.warmUp(next, new AbortController().signal);
  expect(planned).toEqual(['{\n  a\n}']);
  run('{ a }');
  current = next;
  switched();
  run('{ a }');
  expect(planned).toHaveLength(1);
  run('{ b }');
  expect(planned).toHaveLength(2);
});

test('a warm-up that takes too long, or is not wanted any more, leaves the rest to be planned when it is asked for', async () => {
  const { operations, find, parsed } = counted();
  for (const query of ['{ a }', '{ a }', '{ b: a }', '{ b: a }']) find(query);
  const before = parsed();
  await operations.warmUp(supergraphOf('type Query { a: Int }'), new AbortController().signal, -1);
  await operations.warmUp(supergraphOf('type Query { a: Int }'), AbortSignal.abort());
  expect(parsed()).toBe(before);
});
