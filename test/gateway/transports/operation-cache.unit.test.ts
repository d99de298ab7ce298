import { buildSchema, parse, print, type DocumentNode } from 'graphql';
import { describe, expect, test, vi } from 'vitest';
import { createOperationCache } from '../../../gateway/transports/operation-cache.js';
import { createOperations, type Operations } from '../../../gateway/transports/operations.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { PlanningTimeout, planningTimeoutError } from '../../../gateway/supergraph/planning-deadline.js';
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

const schema = 'type Query { a: Int b: Int } type Subscription { a: Int b: Int }';

/** Has it planned, as whoever runs it does. */
function run(operations: Operations, query: string): DocumentNode {
  const found = operations.find({ query, operationName: undefined });
  if (!('admit' in found)) throw new Error('It is not valid.');
  const admitted = found.admit(undefined, {});
  if (found.isSubscription) void admitted.subscriptionPlan();
  else void admitted.prepared();
  return found.document;
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

/** Planners of every operation, each of which is told to `plan`. */
function plannersThat(plan: (document: DocumentNode) => void) {
  const made = (document: DocumentNode) => {
    plan(document);
    return {} as never;
  };
  return { prepare: made, planSubscription: made };
}

/** Operations whose parsing is counted. */
function counted() {
  let parsed = 0;
  let current = supergraphOf(schema);
  const guards = guardsThat((text) => {
    parsed += 1;
    return parse(text);
  });
  const operations = createOperations({
    supergraph: () => current,
    ...plannersThat(() => undefined),
    guards,
    cache: bounds,
  });
  return {
    operations,
    parsed: () => parsed,
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

test.for(['{ a }', 'subscription { a }'])(
  'what can not be planned is not planned again for the next who asks: %s',
  (query) => {
    let plans = 0;
    let supergraph = supergraphOf(schema);
    const operations = createOperations({
      supergraph: () => supergraph,
      ...plannersThat(() => {
        plans += 1;
        throw new Error('it takes too long');
      }),
      guards: guardsThat((text) => parse(text)),
      cache: bounds,
    });
    for (let asked = 0; asked < 3; asked += 1) expect(() => run(operations, query)).toThrow('it takes too long');
    expect(plans).toBe(1);
    // Over another supergraph it may be otherwise.
    supergraph = { ...supergraph };
    expect(() => run(operations, query)).toThrow('it takes too long');
    expect(plans).toBe(2);
  },
);

/** Operations whose plans come when the test says so. */
function plannedLater() {
  const plans: { resolve(): void; reject(error: Error): void }[] = [];
  const made = () =>
    new Promise<never>((resolve, reject) => plans.push({ resolve: () => resolve('planned' as never), reject }));
  const supergraph = supergraphOf(schema);
  const guards = guardsThat((text) => parse(text));
  const operations = createOperations({
    supergraph: () => supergraph,
    prepare: made,
    planSubscription: made,
    guards,
    cache: bounds,
  });
  const ask = (query: string): unknown => {
    const found = operations.find({ query, operationName: undefined });
    if (!('admit' in found)) throw new Error('It is not valid.');
    const admitted = found.admit(undefined, {});
    return found.isSubscription ? admitted.subscriptionPlan() : admitted.prepared();
  };
  return { plans, ask };
}

describe.each(['{ a }', 'subscription { a }'])('a plan that takes its time, of %s', (query) => {
  test('is made once for all who ask meanwhile, and is there at once for those who come later', async () => {
    const { plans, ask } = plannedLater();
    const waiting = [ask(query), ask(query)];
    expect(plans).toHaveLength(1);
    plans[0]?.resolve();
    expect(await Promise.all(waiting)).toEqual(['planned', 'planned']);
    expect(ask(query)).toBe('planned');
    expect(plans).toHaveLength(1);
  });

  test('is not made again if it can not be made', async () => {
    const { plans, ask } = plannedLater();
    const refused = ask(query);
    plans[0]?.reject(new Error('it takes too long'));
    await expect(refused).rejects.toThrow('it takes too long');
    expect(() => ask(query)).toThrow('it takes too long');
    expect(plans).toHaveLength(1);
  });

  test('is made again a minute after it took too long', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const { plans, ask } = plannedLater();
      const refused = ask(query);
      plans[0]?.reject(planningTimeoutError(new PlanningTimeout(2_000)));
      await expect(refused).rejects.toThrow('takes longer than 2000 ms to plan');
      vi.advanceTimersByTime(59_000);
      expect(() => ask(query)).toThrow('takes longer than 2000 ms to plan');
      vi.advanceTimersByTime(2_000);
      const again = ask(query);
      plans[1]?.resolve();
      expect(await again).toBe('planned');
    } finally {
      vi.useRealTimers();
    }
  });

  test('is made again if there was no room for it', async () => {
    const { plans, ask } = plannedLater();
    const refused = ask(query);
    plans[0]?.reject(new FleetgraphError('UNAVAILABLE', 'too many wait'));
    await expect(refused).rejects.toThrow('too many wait');
    const again = ask(query);
    plans[1]?.resolve();
    expect(await again).toBe('planned');
  });
});

test('what clients use is planned for the next supergraph before it is there, what came once is not, unless a stream is open of it', async () => {
  let current = supergraphOf(schema);
  const planned: string[] = [];
  const operations = createOperations({
    supergraph: () => current,
    ...plannersThat((document) => planned.push(print(document).replaceAll(/\s+/g, ' '))),
    guards: guardsThat((text) => parse(text)),
    cache: bounds,
  });
  for (const query of ['{ a }', '{ a }', '{ b }', 'subscription { b }']) run(operations, query);
  const followed = run(operations, 'subscription { a }');
  planned.length = 0;
  const next = supergraphOf(schema);
  const switched = await operations.warmUp(next, new AbortController().signal, { subscribedTo: [followed] });
  expect(planned).toEqual(['{ a }', 'subscription { a }']);
  run(operations, '{ a }');
  current = next;
  switched();
  for (const query of ['{ a }', 'subscription { a }']) run(operations, query);
  expect(planned).toHaveLength(2);
  for (const query of ['{ b }', 'subscription { b }']) run(operations, query);
  expect(planned).toHaveLength(4);
});

test('a warm-up that takes too long, or is not wanted any more, leaves the rest to be planned when it is asked for', async () => {
  const { operations, find, parsed } = counted();
  for (const query of ['{ a }', '{ a }', '{ b: a }', '{ b: a }']) find(query);
  const before = parsed();
  await operations.warmUp(supergraphOf(schema), new AbortController().signal, { forMs: -1 });
  await operations.warmUp(supergraphOf(schema), AbortSignal.abort());
  expect(parsed()).toBe(before);
});

test('peek counts no use of an operation, before and after a new supergraph', () => {
  const { operations, find, parsed, reload } = counted();
  const peek = (query: string) => operations.peek({ query, operationName: undefined });
  const flood = (from: number) => {
    for (let index = from; index < from + 100; index += 1) find(`{ a${index}: a }`);
  };
  const once = find('{ a }');
  for (let count = 0; count < 3; count += 1) expect(peek('{ a }')).toBe(once);
  expect(parsed()).toBe(1);
  reload();
  for (let count = 0; count < 3; count += 1) peek('{ a }');
  expect(parsed()).toBe(2);
  flood(0);
  find('{ a }');
  // Pushed out as what came once, and read again.
  expect(parsed()).toBe(103);
});
