/** `@requires` of what others require something for, in circles, and through interfaces and unions. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

describe('one after the other, back and forth', () => {
  let graph: Federation;
  const smith: Thing = { __typename: 'Worker', id: 'w1', name: 'Smith', years: 9 };
  const jones: Thing = { __typename: 'Worker', id: 'w2', name: 'Jones', years: 1 };
  const job = (id: string, worker: Thing | null): Thing => {
    const skilled = Number(worker?.['years'] ?? 0) > 5;
    return {
      __typename: 'Job',
      id,
      worker,
      skilled,
      supervised: !skilled,
      rate: skilled ? 80 : 40,
      bill: `${skilled ? 80 : 40} with`,
    };
  };
  const jobs = [job('j1', smith), job('j2', jones), job('j3', null)];

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        // supervised, here, needs skilled, from "skills", which needs the worker's years, from here.
        jobs: `
          type Query { jobs: [Job] }
          type Job @key(fields: "id") { id: ID! skilled: Boolean @external supervised: Boolean @requires(fields: "skilled") rate: Int @external bill: String @requires(fields: "rate") }
          type Worker @key(fields: "id") { id: ID! name: String years: Int }`,
        skills: `
          type Job @key(fields: "id") { id: ID! worker: Worker skilled: Boolean @requires(fields: "worker { years }") }
          type Worker @key(fields: "id") { id: ID! years: Int @external }`,
        rates: `
          type Query { latest: Job }
          type Job @key(fields: "id") { id: ID! skilled: Boolean @external supervised: Boolean @external rate: Int @requires(fields: "skilled supervised") }`,
      },
      data: {
        roots: { jobs: [...jobs, null], latest: jobs[1] },
        entities: [...jobs, smith, jones],
        computed: {
          'Job.skilled': ({ worker }) => ((worker as { years?: number } | null)?.years ?? 0) > 5,
          'Job.supervised': ({ skilled }) => (typeof skilled === 'boolean' ? !skilled : null),
          'Job.rate': ({ skilled, supervised }) => (skilled === true ? 80 : 40) - (supervised === true ? 5 : 0),
          'Job.bill': ({ rate }) => `${String(rate)} an hour`,
        },
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('each subgraph is asked when what it needs is there', async () => {
    await graph.compare('{ jobs { bill } }');
    await graph.compare('{ latest { bill supervised } jobs { rate worker { name } } }');
  });

  test('what is required is not in the answer unless it was asked for', async () => {
    expect(await graph.compare('{ latest { supervised } }')).toEqual({ latest: { supervised: true } });
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

describe('through interfaces, unions and lists', () => {
  let graph: Federation;
  const car: Thing = { __typename: 'Car', id: 'c', wheels: 4, seats: 5, owner: null };
  const truck: Thing = { __typename: 'Truck', id: 't', wheels: 6, load: 900, owner: null };
  const ann: Thing = { __typename: 'Person', id: 'ann', name: 'Ann', age: 40 };
  const firm: Thing = { __typename: 'Firm', id: 'firm', name: 'Firm & Co', employees: 12 };
  const fleet = (id: string, more: object): Thing => ({
    __typename: 'Fleet',
    id,
    best: null,
    owner: null,
    all: [],
    ...more,
  });
  const fleets = [
    fleet('f1', { best: car, owner: ann, all: [car, truck, null] }),
    fleet('f2', { best: truck, owner: firm, all: [truck] }),
    fleet('f3', {}),
  ];

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        fleets: `
          type Query { fleets: [Fleet] }
          type Fleet @key(fields: "id") { id: ID! best: Any owner: Owner all: [Vehicle] }
          union Any = Car | Truck
          interface Vehicle { id: ID! wheels: Int }
          type Car implements Vehicle @key(fields: "id") { id: ID! wheels: Int }
          type Truck implements Vehicle @key(fields: "id") { id: ID! wheels: Int }
          interface Owner { id: ID! }
          type Person implements Owner @key(fields: "id") { id: ID! }
          type Firm implements Owner @key(fields: "id") { id: ID! }`,
        details: `
          interface Owner { id: ID! name: String }
          type Car @key(fields: "id") { id: ID! seats: Int }
          type Truck @key(fields: "id") { id: ID! load: Int }
          type Person implements Owner @key(fields: "id") { id: ID! name: String age: Int }
          type Firm implements Owner @key(fields: "id") { id: ID! name: String employees: Int }`,
        insurance: `
          type Fleet @key(fields: "id") {
            id: ID! best: Any @external owner: Owner @external all: [Vehicle] @external
            premium: Int @requires(fields: "best { ... on Car { seats } ... on Truck { load wheels } }")
            holder: String @requires(fields: "owner { name }")
            holderSize: Int @requires(fields: "owner { id ... on Firm { employees } ... on Person { age } }")
            wheels: Int @requires(fields: "all { wheels }")
            seats: Int @requires(fields: "all { ... on Car { seats } }")
          }
          union Any = Car | Truck
          interface Vehicle { id: ID! wheels: Int }
          type Car implements Vehicle @key(fields: "id") { id: ID! wheels: Int @external seats: Int @external }
          type Truck implements Vehicle @key(fields: "id") { id: ID! wheels: Int @external load: Int @external }
          interface Owner { id: ID! name: String }
          type Person implements Owner @key(fields: "id") { id: ID! name: String @external age: Int @external }
          type Firm implements Owner @key(fields: "id") { id: ID! name: String @external employees: Int @external }`,
      },
      data: {
        roots: { fleets },
        entities: [...fleets, car, truck, ann, firm],
        computed: {
          'Fleet.premium': ({ best }) => {
            const { seats = 0, load = 0, wheels = 0 } = (best ?? {}) as Record<string, number>;
            return seats * 100 + load + wheels * 1_000;
          },
          'Fleet.holder': ({ owner }) => (owner as { name?: string } | null)?.name ?? null,
          'Fleet.holderSize': ({ owner }) => {
            const { employees, age } = (owner ?? {}) as Record<string, number | undefined>;
            return employees ?? age ?? null;
          },
          'Fleet.wheels': ({ all }) =>
            (all as ({ wheels: number } | null)[]).reduce((sum, each) => sum + (each?.wheels ?? 0), 0),
          'Fleet.seats': ({ all }) =>
            (all as ({ seats?: number } | null)[]).reduce((sum, each) => sum + (each?.seats ?? 0), 0),
        },
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('what each type has is sent for it', async () => {
    const data = await graph.compare('{ fleets { id premium holder holderSize wheels seats } }');
    expect(data).toMatchObject({
      fleets: [
        { premium: 500, holder: 'Ann', holderSize: 40, wheels: 10, seats: 5 },
        { premium: 6_900, holder: 'Firm & Co', holderSize: 12, wheels: 6, seats: 0 },
        { premium: 0, holder: null, holderSize: null, wheels: 0, seats: 0 },
      ],
    });
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});
