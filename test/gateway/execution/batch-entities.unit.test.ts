import { expect, test } from 'vitest';
import { batchEntities } from '../../../gateway/execution/subgraphs/batch-entities.js';
import type { Subgraph, SubgraphRequest, SubgraphResponse } from '../../../gateway/execution/subgraphs/subgraph.js';

interface Reference {
  readonly __typename: 'Device';
  readonly id: string;
}
const device = (id: string): Reference => ({ __typename: 'Device', id });
const identity = (tenant: string) => ({ tenant, subject: Math.random().toString(), scopes: new Set(['device:read']) });
const fields = 'query ($representations: [_Any!]!) { _entities(representations: $representations) { name } }';

function request(representations: readonly Reference[] | undefined, tenant = 'acme', query = fields): SubgraphRequest {
  return {
    operation: { query, operationName: undefined, isMutation: false, bodyStart: '' },
    variables: '"on":true',
    representations: representations?.map((one) => JSON.stringify(one)),
    context: { identity: identity(tenant), forwarded: {} } as never,
    signal: undefined,
  };
}

/** A subgraph that answers from the ids, and counts what it was asked for. */
function world(answer: (ids: readonly string[]) => { data?: unknown; errors?: unknown }) {
  const asked: string[][] = [];
  const subgraph: Subgraph = {
    name: 'device',
    async fetch({ representations = [] }) {
      const ids = representations.map((text) => (JSON.parse(text) as Reference).id);
      asked.push(ids);
      return answer(ids) as SubgraphResponse;
    },
  };
  return { asked, batched: batchEntities({ of: () => subgraph }).of('device') };
}
const named = (ids: readonly string[]) => ({ data: { _entities: ids.map((id) => ({ name: `name of ${id}` })) } });

test('what is asked for in one turn is one request; each gets its own, in its order, an entity that several name once', async () => {
  const { asked, batched } = world(named);
  const [one, two, three] = await Promise.all([
    batched.fetch(request([device('a'), device('b')])),
    batched.fetch(request([device('b'), device('a'), device('b')])),
    batched.fetch(request([device('c')])),
  ]);
  expect(asked).toEqual([['a', 'b', 'c']]);
  const names = (...ids: string[]) => ({ _entities: ids.map((id) => ({ name: `name of ${id}` })) });
  expect([one?.data, two?.data, three?.data]).toEqual([names('a', 'b'), names('b', 'a', 'b'), names('c')]);
});

test('other fields, another tenant, another turn, and what is no entity fetch go apart', async () => {
  const { asked, batched } = world(named);
  await Promise.all([
    batched.fetch(request([device('a')])),
    batched.fetch(request([device('b')], 'rival')),
    batched.fetch(request([device('c')], 'acme', `${fields} # other`)),
    batched.fetch(request(undefined)),
  ]);
  await batched.fetch(request([device('d')]));
  expect(asked.sort()).toEqual([[], ['a'], ['b'], ['c'], ['d']]);
});

test.each([
  ['scopes that are none of ours', { claims: { scopes: new Set(['device:read', 'ward:7']), policies: new Set() } }],
  ['policies', { claims: { scopes: new Set(['device:read']), policies: new Set(['on-call']) } }],
  ['claims that the gateway does not know', { claimsDigest: 'of another' }],
])('callers with other %s go apart', async (_what, more) => {
  const { asked, batched } = world(named);
  const plain = request([device('a')]);
  const other = request([device('b')]);
  await Promise.all([
    batched.fetch(plain),
    batched.fetch({ ...other, context: { ...other.context, identity: { ...identity('acme'), ...more } as never } }),
  ]);
  expect(asked.sort()).toEqual([['a'], ['b']]);
});

test('an error of an entity comes to those who asked for it, at its place; one of the request to all', async () => {
  const { batched } = world((ids) => ({
    data: { _entities: ids.map((id) => (id === 'b' ? null : { name: id })) },
    errors: [{ message: 'b is gone', path: ['_entities', ids.indexOf('b'), 'name'] }, { message: 'of all' }],
  }));
  const [one, two] = await Promise.all([
    batched.fetch(request([device('a')])),
    batched.fetch(request([device('c'), device('b')])),
  ]);
  expect(one?.errors).toEqual([{ message: 'of all' }]);
  expect(two?.errors).toEqual([{ message: 'b is gone', path: ['_entities', 1, 'name'] }, { message: 'of all' }]);
  expect(two?.data).toEqual({ _entities: [{ name: 'c' }, null] });
});

test('an error with the index of no entity is reported to all callers, as one without a place', async () => {
  const { batched } = world((ids) => ({
    ...named(ids),
    errors: [{ message: 'lost', path: ['_entities', 9, 'name'] }],
  }));
  const answers = await Promise.all(['a', 'b'].map((id) => batched.fetch(request([device(id)]))));
  for (const { errors } of answers) expect(errors).toEqual([{ message: 'lost', path: ['_entities', 'name'] }]);
});

test('a request that fails fails all who are in it, and no other', async () => {
  let fails = true;
  const { batched } = world((ids) => {
    if (fails) throw new Error('away');
    return named(ids);
  });
  const outcomes = await Promise.allSettled([
    batched.fetch(request([device('a')])),
    batched.fetch(request([device('b')])),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  fails = false;
  expect((await batched.fetch(request([device('a')]))).data).toEqual(named(['a']).data);
});

test('more entities than one request may have go in several', async () => {
  const { asked, batched } = world(named);
  const sizes = [600, 300, 200, 1_500, 1];
  let next = 0;
  await Promise.all(
    sizes.map((size) => batched.fetch(request(Array.from({ length: size }, () => device(String((next += 1))))))),
  );
  expect(asked.map((ids) => ids.length)).toEqual([900, 200, 1_500, 1]);
});

test('who shares an entity may change what it got', async () => {
  const { batched } = world((ids) => ({ data: { _entities: ids.map((id) => ({ place: { id } })) } }));
  const [one, two] = await Promise.all([batched.fetch(request([device('a')])), batched.fetch(request([device('a')]))]);
  const placeIn = (response: SubgraphResponse) => (response.data?.['_entities'] as { place: unknown }[])[0]?.place;
  expect(placeIn(one)).toEqual(placeIn(two));
  expect(placeIn(one)).not.toBe(placeIn(two));
});
