/**
 * Unions of which each subgraph knows other members, below shareable fields. Only members that all subgraphs know
 * which can resolve the path are asked for, so that no answer depends on which of them the planner takes.
 * Source: the suites partial-union and partial-union-complex of graphql-hive/federation-gateway-audit, and
 * https://github.com/graphql-hive/router/pull/1111
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

const step: Thing = { __typename: 'Step', label: 'close' };
const turn: Thing = { __typename: 'Turn', degrees: 90 };
const wait: Thing = { __typename: 'Wait', seconds: 5 };
const note: Thing = { __typename: 'Note', id: 'n', text: 'done' };
const plan = (...steps: Thing[]): Thing => ({ __typename: 'Plan', steps });
const valve: Thing = { __typename: 'Valve', id: 'v', plan: plan(step, turn), timed: plan(step, wait) };
const clock: Thing = { __typename: 'Valve', id: 'c', plan: plan(step, wait), timed: plan(wait) };
const report: Thing = { __typename: 'Report', title: 'r', lines: [step, turn, note] };

const moves = `
  type Query { valve: Valve both: Valve @shareable report: Report }
  type Valve @key(fields: "id") { id: ID! plan: Plan @shareable }
  type Plan @shareable { steps: [Action!]! }
  type Report @shareable { title: String lines: [Line!]! }
  union Action = Step | Turn
  union Line = Step | Turn | Note
  type Step @shareable { label: String }
  type Turn { degrees: Int }
  type Note { id: ID! text: String }`;
const waits = `
  type Query { clock: Valve both: Valve @shareable last: Wait }
  type Valve @key(fields: "id") { id: ID! plan: Plan @shareable timed: Plan }
  type Plan @shareable { steps: [Action!]! }
  type Report @shareable { title: String lines: [Line!]! }
  union Action = Step | Wait
  union Line = Step
  type Step @shareable { label: String }
  type Wait { seconds: Int }`;
/** Knows the type of a member of the other, which is no member of its own union. */
const waitsAndTurns = `${waits.replace('last: Wait', 'last: Wait firstTurn: Turn')} type Turn { degrees: Int @shareable }`;
const sharedTurns = moves.replace('degrees: Int', 'degrees: Int @shareable');

const fragments = ['... on Step { label }', '... on Turn { degrees }', '... on Wait { seconds }'];
const every = ['__typename', ...fragments].join(' ');

describe.each([
  ['moves first', { a: moves, b: waits }],
  ['waits first', { b: moves, a: waits }],
  ['the other subgraph has the type elsewhere', { a: sharedTurns, b: waitsAndTurns }],
])('members of a union that one subgraph alone knows: %s', (_, subgraphs) => {
  let graph: Federation;
  const owner = (sdl: string): string | undefined =>
    Object.entries(subgraphs).find(([, each]) => each.includes(sdl))?.[0];
  const asked = (): string[] => graph.requests.map(({ subgraph }) => subgraph);

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs,
      data: {
        roots: { valve, clock, both: { ...valve, plan: plan(step) }, report, last: wait, firstTurn: turn },
        entities: [valve, clock],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test.each([
    [
      'valve',
      [
        { __typename: 'Step', label: 'close' },
        { __typename: 'Turn', degrees: null },
      ],
    ],
    [
      'clock',
      [
        { __typename: 'Step', label: 'close' },
        { __typename: 'Wait', seconds: null },
      ],
    ],
    ['both', [{ __typename: 'Step', label: 'close' }]],
  ])('are null below an entity that both can resolve: %s', async (root, steps) => {
    expect(await graph.ask(`{ ${root} { plan { steps { ${every} } } } }`)).toEqual({
      data: { [root]: { plan: { steps } } },
    });
    expect(graph.requests).toHaveLength(1);
    expect(graph.requests[0]?.query).not.toMatch(/Turn|Wait/);
  });

  test.each([fragments, [...fragments].reverse(), ['alias: __typename', ...fragments]])(
    'are null in whatever order they are asked for: %s',
    async (...order) => {
      const { data } = await graph.ask(`{ valve { plan { steps { ${order.join(' ')} __typename } } } }`);
      expect(data).toMatchObject({ valve: { plan: { steps: [{ label: 'close' }, { degrees: null }] } } });
    },
  );

  test('leave the type name where nothing else is asked for', async () => {
    const steps = [{ __typename: 'Step' }, { __typename: 'Turn' }];
    for (const fragment of fragments.slice(1))
      expect(await graph.ask(`{ valve { plan { steps { __typename ${fragment} } } } }`)).toEqual({
        data: {
          valve: { plan: { steps: fragment.includes('Turn') ? [steps[0], { ...steps[1], degrees: null }] : steps } },
        },
      });
  });

  test('are there where an entity hop leads to one subgraph', async () => {
    await graph.compare(`{ valve { timed { steps { ${every} } } } }`);
    expect(asked()).toEqual([owner('valve: Valve'), owner('timed: Plan')]);
    await graph.compare(`{ clock { timed { steps { ${every} } } } }`);
    expect(asked()).toEqual([owner('timed: Plan')]);
  });

  test('differ by the way to the same union', async () => {
    const { data } = await graph.ask(`{ valve { timed { steps { ${every} } } plan { steps { ${every} } } } }`);
    expect(data).toMatchObject({
      valve: { timed: { steps: [{ label: 'close' }, { seconds: 5 }] }, plan: { steps: [{}, { degrees: null }] } },
    });
  });

  test('are there where no entity and no root leads to another subgraph', async () => {
    await graph.compare(
      '{ report { title lines { __typename ... on Step { label } ... on Turn { degrees } ... on Note { id text } } } }',
    );
    await graph.compare('{ report { lines { __typename ... on Turn { degrees } ... on Note { text } } } }');
    expect(asked()).toEqual([owner('report: Report')]);
  });
});
