/** Whoever asks for something that can't be planned in time holds up the others for so long, once. */
import { operationFromDocument } from '@apollo/federation-internals';
import { readFileSync } from 'node:fs';
import { GraphQLError, parse } from 'graphql';
import { expect, test } from 'vitest';
import { PlanningTimeout, withinPlanningTime } from '../../../gateway/supergraph/planning-deadline.js';
import { buildSupergraph } from '../../../gateway/supergraph/supergraph.js';

const sdl = readFileSync(new URL('../../../gateway/supergraph.graphql', import.meta.url), 'utf8');
/** Takes the planner some milliseconds at least. */
const long = `{ ${Array.from({ length: 40 }, (_none, index) => `d${index}: device(id: "${index}") { name state { updatedAt } commands { edges { node { id device { name } } } } }`).join(' ')} }`;

test('work that ends in time gives what it gives', () => {
  expect(withinPlanningTime(1_000, () => ({ a: 1 }))).toEqual({ a: 1 });
  expect(withinPlanningTime(1_000, (): unknown => undefined)).toBeUndefined();
});

test('what work throws is thrown', () => {
  const error = new GraphQLError('no');
  expect(() =>
    withinPlanningTime(1_000, () => {
      throw error;
    }),
  ).toThrow(error);
});

test('work that never ends is ended, and what comes after it is done', () => {
  const endless = (): never => {
    for (;;);
  };
  expect(() => withinPlanningTime(20, endless)).toThrow(PlanningTimeout);
  expect(withinPlanningTime(1_000, () => 'next')).toBe('next');
});

test('an operation that takes too long to plan is refused with what to do; the planner goes on with others', () => {
  const { planner, federatedApiSchema } = buildSupergraph(sdl, 1);
  const plan = (query: string) => planner.buildQueryPlan(operationFromDocument(federatedApiSchema, parse(query)));
  let refusal: unknown;
  try {
    plan(long);
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toBeInstanceOf(GraphQLError);
  expect(refusal).toMatchObject({
    message: 'The operation takes longer than 1 ms to plan. Ask for less at once, or for it in several operations.',
    extensions: { code: 'BAD_USER_INPUT' },
  });
  // With the time that is usual, both: what was interrupted has left nothing behind.
  const other = buildSupergraph(sdl);
  expect(other.planner.buildQueryPlan(operationFromDocument(other.federatedApiSchema, parse(long))).node).toBeDefined();
});
