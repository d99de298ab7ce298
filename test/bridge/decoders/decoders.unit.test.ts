import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RejectedPayload } from '../../../bridge/decoders/decoder.js';
import { findDecoder } from '../../../bridge/decoders/decoders.js';

const arrivedAt = 1_700_000_000_000;
const decode = (name: string, payload: unknown) =>
  findDecoder(name)?.decode(typeof payload === 'string' ? payload : JSON.stringify(payload), arrivedAt);

test('json: an object is stamped on arrival', () => {
  expect(decode('json', { temperature: 21.5, on: true })).toEqual([
    { metric: 'temperature', at: arrivedAt, value: 21.5 },
    { metric: 'on', at: arrivedAt, value: true },
  ]);
});

test('json: "ts" with "values" has its own time, also in an array beside others', () => {
  expect(decode('json', [{ ts: 1, values: { a: 1 } }, { b: 2 }])).toEqual([
    { metric: 'a', at: 1, value: 1 },
    { metric: 'b', at: arrivedAt, value: 2 },
  ]);
});

test('json: "ts" without "values" is a metric like any other', () => {
  expect(decode('json', { ts: 5 })).toEqual([{ metric: 'ts', at: arrivedAt, value: 5 }]);
});

test('json: members that every object has are metrics when they are sent', () => {
  expect(decode('json', '{"__proto__": 1, "constructor": 2}')?.map(({ metric }) => metric)).toEqual([
    '__proto__',
    'constructor',
  ]);
});

// RFC 8428, section 5.1.
test('senml: a single reading', () => {
  expect(decode('senml', [{ n: 'urn:dev:ow:10e2073a01080063', u: 'Cel', v: 23.1 }])).toEqual([
    { metric: 'urn:dev:ow:10e2073a01080063', at: arrivedAt, value: 23.1 },
  ]);
});

test('senml: several readings share base name and base time', () => {
  const pack = [
    { bn: 'urn:dev:ow:10e2073a0108006:', bt: 1.276020076001e9, bu: 'A', bver: 5, n: 'voltage', u: 'V', v: 120.1 },
    { n: 'current', t: -5, v: 1.2 },
    { n: 'current', t: -4, v: 1.3 },
  ];
  expect(decode('senml', pack)).toEqual([
    { metric: 'urn:dev:ow:10e2073a0108006:voltage', at: 1.276020076001e12, value: 120.1 },
    { metric: 'urn:dev:ow:10e2073a0108006:current', at: 1.276020071001e12, value: 1.2 },
    { metric: 'urn:dev:ow:10e2073a0108006:current', at: 1.276020072001e12, value: 1.3 },
  ]);
});

test('senml: a time below 2^28 is relative to now, texts and booleans are values, base values add up', () => {
  const pack = [
    { bn: 'room/', n: 'label', vs: 'Machine Room' },
    { n: 'open', vb: false, t: -60 },
    { bv: 20, n: 'temp', v: 1.5 },
  ];
  expect(decode('senml', pack)).toEqual([
    { metric: 'room/label', at: arrivedAt, value: 'Machine Room' },
    { metric: 'room/open', at: arrivedAt - 60_000, value: false },
    { metric: 'room/temp', at: arrivedAt, value: 21.5 },
  ]);
});

// RFC 8428, section 5.1.5: texts, booleans, and data, which is not taken.
test('senml: what is no reading is passed over, what is one is taken', () => {
  const pack = [
    { bn: 'urn:dev:ow:10e2073a01080063:', n: 'temp', u: 'Cel', v: 23.1 },
    { n: 'label', vs: 'Machine Room' },
    { n: 'open', vb: false },
    { n: 'nfc-reader', vd: 'aGkgCg' },
    { n: 'energy', s: 12 },
  ];
  expect(decode('senml', pack)?.map(({ metric, value }) => [metric.split(':').at(-1), value])).toEqual([
    ['temp', 23.1],
    ['label', 'Machine Room'],
    ['open', false],
  ]);
});

// RFC 8428, section 4.4.
test('senml: a version later than ours, and a field that must be understood and is not, refuse the pack', () => {
  expect(decode('senml', [{ bver: 10, n: 'a', v: 1 }])).toHaveLength(1);
  expect(() => decode('senml', [{ bver: 11, n: 'a', v: 1 }])).toThrow('version');
  expect(() => decode('senml', [{ bver: '5', n: 'a', v: 1 }])).toThrow('version');
  expect(() =>
    decode('senml', [
      { n: 'a', v: 1 },
      { n: 'b', v: 2, scale_: 10 },
    ]),
  ).toThrow('scale_');
  expect(decode('senml', [{ n: 'a', v: 1, scale: 10 }])).toHaveLength(1);
});

test('senml: a time is relative below 2^28 seconds, absolute from there on, whatever it is made of', () => {
  const at = (record: object) => decode('senml', [{ n: 'a', v: 1, ...record }])?.[0]?.at;
  expect(at({ t: 2 ** 28 - 1 })).toBe(arrivedAt + (2 ** 28 - 1) * 1_000);
  expect(at({ t: 2 ** 28 })).toBe(2 ** 28 * 1_000);
  expect(at({ bt: 2 ** 28, t: -1 })).toBe(arrivedAt + (2 ** 28 - 1) * 1_000);
  expect(at({ bt: 1_700_000_000, t: -0.5 })).toBe(1_699_999_999_500);
});

test.each([
  ['an empty array', []],
  ['an object without members', {}],
  ['an empty object among others', [{ a: 1 }, {}]],
  ['an array in an array', [[{ a: 1 }]]],
  ['a number', 5],
  ['null', null],
  ['empty values', { ts: 1, values: {} }],
])('json: %s is refused as a whole', (_what, payload) => {
  expect(() => decode('json', payload)).toThrow(RejectedPayload);
});

test('json: "values" that is no object is a metric, for the checks to refuse', () => {
  expect(decode('json', { ts: 1, values: [1] })).toEqual([
    { metric: 'ts', at: arrivedAt, value: 1 },
    { metric: 'values', at: arrivedAt, value: [1] },
  ]);
});

test.each(['json', 'senml'])(
  'property: %s makes readings of any payload, or refuses it as a RejectedPayload',
  (name) => {
    const payload = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .array(
          fc.record({ n: fc.anything(), t: fc.anything(), v: fc.anything(), bn: fc.string() }, { requiredKeys: [] }),
        )
        .map(
          (pack) =>
            JSON.stringify(pack, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)) ?? '',
        ),
    );
    fc.assert(
      fc.property(payload, (text) => {
        try {
          const readings = decode(name, text);
          expect(readings?.length).toBeGreaterThan(0);
          for (const { metric } of readings ?? []) expect(metric).toBeTypeOf('string');
        } catch (error) {
          expect(error).toBeInstanceOf(RejectedPayload);
        }
      }),
    );
  },
);

test('a decoder that nobody knows is not found', () => {
  expect(findDecoder('constructor')).toBeUndefined();
});
