/** Schemas come from tenants: what is no schema is said when it is written, and none takes the process with it. */
import { describe, expect, it, test } from 'vitest';
import { createParametersCheck, schemaFault } from '../../../backbone/devices/command-schema.js';
import type { JsonObject } from '../../../platform/database/storable.js';

const dialect = 'https://json-schema.org/draft/2020-12/schema';

test.each([
  [true],
  [{}],
  [{ $schema: dialect, type: 'object' }],
  [{ $id: dialect, type: 'object' }],
  [{ type: 'object', properties: { mode: { enum: ['eco'] }, at: { type: 'string', format: 'date-time' } } }],
  [{ $defs: { step: { type: 'object', properties: { then: { $ref: '#/$defs/step' } } } }, $ref: '#/$defs/step' }],
  [{ prefixItems: [{ type: 'number' }], unevaluatedItems: false, dependentRequired: { a: ['b'] } }],
])('%j is a schema', (schema) => {
  expect(schemaFault(schema)).toBeUndefined();
});

test.each([
  ['text', 'must be a JSON Schema'],
  [[], 'must be a JSON Schema'],
  [{ type: 'strng' }, 'type must be one of'],
  [{ properties: { a: { minimum: 'low' } } }, 'properties.a.minimum must be number'],
  [{ requried: ['a'] }, 'requried'],
  [{ $ref: 'https://elsewhere.example/schema' }, 'elsewhere'],
  [{ $schema: 'http://json-schema.org/draft-07/schema#' }, '2020-12'],
  [{ pattern: '(' }, 'regular expression'],
  [{ description: 'x'.repeat(20_000) }, 'at most 16384'],
  [{ description: 'U+0000: \u0000' }, 'stored'],
  [JSON.parse(`${'{"not":'.repeat(40)}{}${'}'.repeat(40)}`) as unknown, 'deeper than 32'],
])('%j is none', (schema, reason) => {
  expect(schemaFault(schema)).toContain(reason);
});

describe('a check of parameters', () => {
  const check = createParametersCheck(2);

  it('names the place that is wrong first', () => {
    const schema = {
      type: 'object',
      properties: { steps: { type: 'array', items: { properties: { 'a/b~': { type: 'number' } } } } },
      unevaluatedProperties: false,
    };
    expect(check(schema, { steps: [{}, { 'a/b~': 1 }] })).toBeUndefined();
    expect(check(schema, { steps: [{}, { 'a/b~': 'x' }] })).toEqual({ path: 'steps[1].a/b~', fault: 'must be number' });
    expect(check(schema, { more: 1 })).toEqual({ path: 'more', fault: 'is not one of the parameters' });
    expect(check(false, {})?.path).toBe('');
  });

  it.each([
    [
      'a pattern that backtracks',
      { properties: { a: { type: 'string', pattern: '^(a+)+$' } } },
      { a: `${'a'.repeat(60)}!` },
    ],
    ['references that multiply', multiplying(28), { a: 1 }],
    ['a reference to itself', { $ref: '#' }, { a: 1 }],
  ])('ends in time for %s, and refuses what it could not check', (_, schema, parameters) => {
    expect(schemaFault(schema)).toBeUndefined();
    const began = process.cpuUsage();
    expect(check(schema as JsonObject, parameters)?.fault).toContain("can't be checked");
    const { user } = process.cpuUsage(began);
    expect(user / 1_000).toBeLessThan(1_500);
    // What comes behind it is checked as ever.
    expect(check({ required: ['b'] }, { b: 1 })).toBeUndefined();
  });
});

function multiplying(levels: number): JsonObject {
  const $defs: Record<string, JsonObject> = { d0: { type: 'number' } };
  for (let level = 1; level <= levels; level += 1) {
    const $ref = `#/$defs/d${level - 1}`;
    $defs[`d${level}`] = { allOf: [{ $ref }, { $ref }] };
  }
  return { $defs, properties: { a: { $ref: `#/$defs/d${levels}` } } };
}
