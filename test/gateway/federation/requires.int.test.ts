/** `@requires`: what a subgraph needs of others before it can resolve a field of its own. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';

describe('with arguments', () => {
  let graph: Federation;
  const sample = (id: string, n: number, more: object = {}) => ({
    __typename: 'Sample',
    id,
    level: n,
    operator: n % 2 === 0 ? 'ada' : 'bob',
    ...more,
  });
  const power =
    (watts: number) =>
    ({ unit }: { unit?: string }) =>
      unit === 'KILOWATT' ? watts / 1_000 : watts;
  const recent = [sample('s1', 1), sample('s2', 2), sample('s3', 3), sample('s4', 4)];
  const pump = {
    __typename: 'Pump',
    serial: 'p1',
    label: 'Pump 1',
    hours: 3,
    power: power(2_000),
    samples: ({ limit }: { limit: number }) => recent.slice(0, limit),
    motor: { __typename: 'Motor', torque: ({ at }: { at: number }) => at * 2 },
  };
  const idle = {
    __typename: 'Pump',
    serial: 'p2',
    label: null,
    hours: 0,
    power: power(0),
    samples: () => [],
    motor: null,
  };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        registry: `
          enum Unit { WATT KILOWATT }
          type Query { pumps: [Pump!]! pump: Pump }
          type Pump @key(fields: "serial") {
            serial: ID! label: String hours: Int power(unit: Unit = WATT): Float motor: Motor
          }
          type Motor { torque(at: Int!): Int }`,
        costs: `
          enum Unit { WATT KILOWATT }
          type Pump @key(fields: "serial") {
            serial: ID!
            hours: Int @external
            power(unit: Unit = WATT): Float @external
            motor: Motor @external
            costADay: Float @requires(fields: "hours power(unit: KILOWATT)")
            heat: Float @requires(fields: "power(unit: WATT)")
            heatByDefault: Float @requires(fields: "power")
            strain: Int @requires(fields: "motor { torque(at: 5) }")
            strainAtFull: Int @requires(fields: "motor { torque(at: 10) }")
            tariff: String
          }
          type Motor @external { torque(at: Int!): Int }`,
        readings: `
          type Pump @key(fields: "serial") {
            serial: ID!
            samples(limit: Int!): [Sample!]!
            lastOperator: String @requires(fields: "samples(limit: 3) { operator }")
          }
          type Sample @key(fields: "id") { id: ID! level: Int operator: String @external }`,
        people: `type Sample @key(fields: "id") { id: ID! operator: String }`,
      },
      data: {
        roots: { pumps: [pump, idle], pump },
        entities: [{ ...pump, tariff: 'night' }, { ...idle, tariff: 'day' }, ...recent],
        computed: {
          'Pump.costADay': ({ hours, power: used }) => Number(hours) * Number(used),
          'Pump.heat': ({ power: used }) => Number(used) * 0.9,
          'Pump.heatByDefault': ({ power: used }) => Number(used) * 0.9,
          'Pump.strain': ({ motor }) => (motor as { torque: number } | null)?.torque ?? 0,
          'Pump.strainAtFull': ({ motor }) => (motor as { torque: number } | null)?.torque ?? 0,
          'Pump.lastOperator': ({ samples }) => (samples as { operator: string }[]).at(-1)?.operator ?? null,
          'Pump.tariff': ({ serial }) => (serial === 'p1' ? 'night' : 'day'),
        },
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('fields that require one field with different arguments each get theirs', async () => {
    const data = await graph.compare('{ pumps { label costADay heat strain strainAtFull } }');
    expect(data).toMatchObject({ pumps: [{ costADay: 6, heat: 1_800, strain: 10, strainAtFull: 20 }, { heat: 0 }] });
  });

  test('who needs no different arguments is asked once', async () => {
    await graph.compare('{ pumps { costADay strain } }');
    expect(graph.requests.map(({ subgraph }) => subgraph)).toEqual(['registry', 'costs']);
  });

  test('a client may ask for the field with arguments of its own', async () => {
    await graph.compare('{ pumps { power(unit: WATT) costADay samples(limit: 1) { id } lastOperator } }');
    await graph.compare(
      'query ($limit: Int = 2) { pumps { ...A ...B lastOperator } } fragment A on Pump { samples(limit: $limit) { id } } fragment B on Pump { samples(limit: $limit) { level } }',
    );
  });

  test('defaults of arguments are not mixed up with what is given', async () => {
    await graph.compare('{ pump { heatByDefault costADay power } }');
    await graph.compare('{ pump { heatByDefault power(unit: KILOWATT) } }');
  });

  test('any query is answered as the monolith answers it', () =>
    graph.compareAny({ limit: ['1', '3'], at: ['1', '10'] }));
});
