/**
 * Whatever goes wrong with whichever fetch: what is there is right, each null that is due to a
 * failure has an error at it or below it, and each error with a path is at a null or below one.
 */
import { dataIn } from '../../../gateway/execution/response/answer.js';
import fc from 'fast-check';
import { parse, validate, type GraphQLFormattedError } from 'graphql';
import { expect, test } from 'vitest';
import { unavailable } from '../../../gateway/execution/subgraphs/unavailable.js';
import type { SubgraphResponse } from '../../../gateway/execution/subgraphs/subgraph.js';
import { expectNullsTold, type Path } from './expect-nulls-told.js';
import { executeWhole, federate, operations, worlds, type Spoil } from './monolith.js';

type Entities = (Record<string, unknown> | null)[];

const federated = federate();
const context = { forwarded: {} };
const error = (path?: unknown) => ({ message: 'spoiled', ...(path === undefined ? {} : { path: path as Path }) });

/** Ways to fail, of an answer with entities. */
const ofEntities: ((entities: Entities, index: number) => SubgraphResponse)[] = [
  (entities, index) => respond(entities.with(index, null), error(['_entities', index])),
  (entities, index) => {
    const [name = 'risky', value] = Object.entries(entities[index] ?? {}).at(-1) ?? [];
    const spoiled = name === 'risky' || value === undefined ? null : { ...entities[index], [name]: null };
    return respond(entities.with(index, spoiled), error(['_entities', index, name]));
  },
  (entities, index) => respond(entities.with(index, 5 as never)),
  (entities, index) => respond(entities.with(index, [{ size: 1 }] as never)),
  (entities) =>
    respond(
      entities.map(() => null),
      error(),
    ),
  (entities) =>
    respond(
      entities.map(() => null),
      error(['_entities', 'size']),
    ),
  (entities) =>
    respond(
      entities.map(() => null),
      error(['_entities', 99, 'size']),
    ),
  (entities) =>
    respond(
      entities.map(() => null),
      error([{}, null, 1.5]),
    ),
];

function respond(entities: unknown[], ...errors: GraphQLFormattedError[]): SubgraphResponse {
  return { data: { _entities: entities }, ...(errors.length > 0 ? { errors } : {}) };
}

/** @param numbers one for each fetch: whether and how it fails */
function spoilWith(numbers: readonly number[]): { readonly spoil: Spoil; readonly spoiled: () => number } {
  let fetches = 0;
  let spoiled = 0;
  return {
    spoiled: () => spoiled,
    spoil(name, { representations }, response) {
      const number = numbers[fetches++ % numbers.length] ?? 0;
      const entities = response.data?.['_entities'] as Entities | undefined;
      if (number % 2 === 0 || response.errors) return response;
      spoiled += 1;
      const way = number >> 1;
      if (way % 4 === 0) throw unavailable(name);
      if (way % 4 === 1) return { data: null, errors: [error()] };
      if (representations && entities)
        return (ofEntities[(way >> 2) % ofEntities.length] as (typeof ofEntities)[number])(
          entities,
          way % entities.length,
        );
      const data = response.data ?? {};
      const root = Object.keys(data)[0] ?? '';
      return { data: { ...data, [root]: null }, errors: [error([root])] };
    },
  };
}

test('every error is at a null or below one, and every null that is due to a failure has one', async () => {
  const small = worlds.filter(({ things }) => things.length < 4 && things.every(({ links }) => links.length < 3));
  let seen = 0;
  await fc.assert(
    fc.asyncProperty(
      small,
      operations,
      fc.boolean(),
      fc.array(fc.nat(127), { minLength: 1, maxLength: 6 }),
      async (world, text, yes, numbers) => {
        const document = parse(text);
        fc.pre(validate(federated.apiSchema, document).length === 0);
        const variables = { yes, no: !yes, text: null };
        federated.current = world;
        const expected = await executeWhole(world, document, variables);
        const { spoil, spoiled } = spoilWith(numbers);
        federated.spoil = spoil;
        const prepared = federated.executor.prepare(document, undefined);
        const { body, errors } = await federated.executor.execute(prepared, { variables, context });
        seen += spoiled();
        const given: unknown = JSON.parse(body ? dataIn(body) : '');
        expectNullsTold({ data: given, errors }, JSON.parse(JSON.stringify(expected.data)));
        if (spoiled() > 0) expect(errors.length).toBeGreaterThan(0);
      },
    ),
    { numRuns: 250 },
  );
  expect(seen).toBeGreaterThan(100);
}, 120_000);
