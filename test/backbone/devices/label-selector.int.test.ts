/** What a selector means: as a function, and as SQL on labels in a table of their own and in one column. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import {
  labelsInJson,
  readSelector,
  selectorConditions,
  selectorMatcher,
  selectsAll,
  type DeviceSelector,
  type SelectableDevice,
  type SelectorColumns,
} from '../../../backbone/devices/label-selector.js';
import { createDatabase, type TestDatabase } from '../../world/database.js';

const keys = ['site', 'floor', 'constructor', 'a/b.c'];
const values = ['', 'north', 'north ', 'NORTH', 'köln', "o'clock", '1'];
const types = ['generic', 'boiler', 'valve'];

/** Every device that differs in what a selector can see: two labels of these, each absent or with one of the values. */
const devices: readonly SelectableDevice[] = types.flatMap((typeId) =>
  [undefined, ...values].flatMap((first) =>
    [undefined, ...values.slice(0, 3)].map((second, index): SelectableDevice => {
      const other = keys[1 + (index % 3)] ?? 'floor';
      return {
        id: `${typeId}-${String(first)}-${other}-${String(second)}`,
        typeId,
        labels: {
          ...(first === undefined ? {} : { site: first }),
          ...(second === undefined ? {} : { [other]: second }),
        },
      };
    }),
  ),
);

const someOf = (from: readonly string[]) => fc.uniqueArray(fc.constantFrom(...from), { minLength: 1, maxLength: 3 });
const condition = fc.oneof(
  fc.record({ key: fc.constantFrom(...keys), equals: fc.constantFrom(...values) }),
  fc.record({ key: fc.constantFrom(...keys), in: someOf(values) }),
  fc.record({ key: fc.constantFrom(...keys), notIn: someOf(values) }),
  fc.record({ key: fc.constantFrom(...keys), exists: fc.boolean() }),
);
const selector = fc.record(
  {
    typeIds: someOf(types),
    labels: fc.array(condition, { minLength: 1, maxLength: 3 }),
    ids: fc.uniqueArray(fc.constantFrom(...devices.map(({ id }) => id)), { minLength: 1, maxLength: 40 }),
  },
  { requiredKeys: [] },
);

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
  await database.pool.query(`
    CREATE TABLE selectable (id text PRIMARY KEY, type_id text NOT NULL, labels jsonb NOT NULL);
    CREATE TABLE selectable_labels (device_id text NOT NULL, key text NOT NULL, value text NOT NULL)`);
  await database.pool.query(
    `INSERT INTO selectable SELECT id, "typeId", labels FROM jsonb_to_recordset($1) AS d(id text, "typeId" text, labels jsonb)`,
    [JSON.stringify(devices)],
  );
  await database.pool.query(
    'INSERT INTO selectable_labels SELECT d.id, l.key, l.value FROM selectable d, jsonb_each_text(d.labels) l',
  );
});
afterAll(() => database[Symbol.asyncDispose]());

const inRows: SelectorColumns = {
  id: 'd.id',
  typeId: 'd.type_id',
  hasLabel: (key, list) =>
    `EXISTS (SELECT FROM selectable_labels l WHERE l.device_id = d.id AND l.key = ${key}${list === undefined ? '' : ` AND l.value = ANY(${list})`})`,
};
const inJson: SelectorColumns = { id: 'd.id', typeId: 'd.type_id', hasLabel: labelsInJson('d.labels') };

async function selectedBySql(which: DeviceSelector, columns: SelectorColumns): Promise<readonly string[]> {
  const parameters: unknown[] = [];
  const conditions = selectorConditions(which, columns, (value) => `$${parameters.push(value)}`);
  const { rows } = await database.pool.query<{ id: string }>(
    `SELECT id FROM selectable d WHERE ${['true', ...conditions].join(' AND ')} ORDER BY id COLLATE "C"`,
    parameters,
  );
  return rows.map(({ id }) => id);
}

describe('a selector', () => {
  it('selects the same devices as a function and in SQL, wherever labels are kept', async () => {
    await fc.assert(
      fc.asyncProperty(selector, async (input) => {
        const read = readSelector(input, 'selector');
        const matching = devices
          .filter(selectorMatcher(read))
          .map(({ id }) => id)
          .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(await selectedBySql(read, inJson)).toEqual(matching);
        expect(await selectedBySql(read, inRows)).toEqual(matching);
      }),
      { numRuns: 150 },
    );
  });

  it('is the same after it was kept as JSON and read again', () => {
    fc.assert(
      fc.property(selector, (input) => {
        const read = readSelector(input, 'selector');
        expect(readSelector(JSON.parse(JSON.stringify(read)), 'selector')).toEqual(read);
        expect(selectsAll(read)).toBe(Object.keys(input).length === 0);
      }),
    );
  });
});

describe('a condition on a label', () => {
  const device = (labels: Record<string, string>) => ({ id: 'd', typeId: 'generic', labels });
  const holds = (label: object, labels: Record<string, string>) =>
    selectorMatcher(readSelector({ labels: [label] }, 'selector'))(device(labels));

  test.each([
    [{ key: 'site', equals: 'north' }, true, false, false],
    [{ key: 'site', in: ['north', 'east'] }, true, false, false],
    [{ key: 'site', notIn: ['north', 'east'] }, false, true, true],
    [{ key: 'site', exists: true }, true, true, false],
    [{ key: 'site', exists: false }, false, false, true],
  ])('%j', (label, north, south, without) => {
    expect([holds(label, { site: 'north' }), holds(label, { site: 'south' }), holds(label, {})]).toEqual([
      north,
      south,
      without,
    ]);
  });

  it('does not take what every object inherits for a label', () => {
    expect(holds({ key: 'constructor', exists: true }, {})).toBe(false);
  });
});

test.each([
  [{ typeIds: [] }, 'in.typeIds', 'empty'],
  [{ ids: Array.from({ length: 1_001 }, (_, index) => `d${index}`) }, 'in.ids', 'more than 1,000 devices'],
  [{ ids: ['a', 'b\u0000'] }, 'in.ids[1]', 'stored'],
  [{ labels: Array.from({ length: 33 }, () => ({ key: 'a', exists: true })) }, 'in.labels', 'more than 32'],
  [{ labels: [{ key: 'a b', exists: true }] }, 'in.labels[0].key', 'letters'],
  [{ labels: [{ key: 'a', exists: true }, { key: 'b' }] }, 'in.labels[1]', 'says nothing'],
  [{ labels: [{ key: 'a', equals: 'b', exists: true }] }, 'in.labels[0]', 'exactly one'],
  [{ labels: [{ key: 'a', in: [] }] }, 'in.labels[0].in', 'empty'],
  [{ labels: [{ key: 'a', notIn: Array(101).fill('x') }] }, 'in.labels[0].notIn', 'more than 100 values'],
  [{ labels: [{ key: 'a', equals: 'x'.repeat(256) }] }, 'in.labels[0].equals', '255'],
])('the selector %j is refused by its field', (input, field, reason) => {
  expect(() => readSelector(input, 'in')).toThrow(
    expect.objectContaining({ code: 'BAD_USER_INPUT', field, message: expect.stringContaining(reason) as string }),
  );
});
