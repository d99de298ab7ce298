/** The schema that is checked in: in step with the subgraphs, kind to the clients that are out there, described throughout. */
import {
  buildSchema,
  getIntrospectionQuery,
  graphqlSync,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
  parse,
  validate,
  type GraphQLNamedType,
} from 'graphql';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { examples } from '../../../gateway/explorer/app/examples.js';
import { composeSupergraph, printApiSchema } from '../../../gateway/supergraph/compose.js';
import { breakingChanges } from './breaking-changes.js';

const gatewayFile = (name: string) => readFileSync(new URL(`../../../gateway/${name}`, import.meta.url), 'utf8');
const apiSdl = gatewayFile('schema/api.graphql');
const apiSchema = buildSchema(apiSdl);

test('the supergraph and the API schema on disk are those of the subgraphs; if not, run "npm run schema"', async () => {
  const supergraph = await composeSupergraph();
  expect(gatewayFile('supergraph.graphql')).toBe(supergraph);
  expect(apiSdl).toBe(printApiSchema(supergraph));
});

test('no change breaks clients of the published API; to break it on purpose, run "npm run schema -- --publish"', async () => {
  expect(await breakingChanges(gatewayFile('schema/published-api.graphql'), apiSdl)).toEqual([]);
});

test('the published API is that of the version in package.json; at a release, run "npm run schema -- --publish"', () => {
  const { version } = JSON.parse(gatewayFile('../package.json')) as { readonly version: string };
  expect(gatewayFile('schema/published-api.graphql').split('\n')[0]).toBe(`# The API of version ${version}.`);
});

test.each([
  ['a removed field', 'type Query { a: Int! b(x: Int): Int }', 'type Query { b(x: Int): Int }'],
  ['a type that may be null now', 'type Query { a: Int! }', 'type Query { a: Int }'],
  ['another type', 'type Query { a: Int }', 'type Query { a: String }'],
  ['a new argument that must be given', 'type Query { a: Int }', 'type Query { a(x: Int!): Int }'],
  ['a removed enum value', 'type Query { a: E } enum E { X Y }', 'type Query { a: E } enum E { X }'],
  [
    'an input that must be given',
    'type Query { a(x: I): Int } input I { y: Int }',
    'type Query { a(x: I): Int } input I { y: Int! }',
  ],
])('%s breaks clients', async (_what, before, after) => {
  expect(await breakingChanges(before, after)).toHaveLength(1);
  expect(await breakingChanges(before, before)).toEqual([]);
});

test('everything that clients see is described', () => {
  const missing: string[] = [];
  const check = (name: string, description: string | null | undefined): void => {
    if ((description ?? '').trim() === '') missing.push(name);
  };
  const checkType = (type: GraphQLNamedType): void => {
    if (!['Query', 'Mutation', 'Subscription'].includes(type.name)) check(type.name, type.description);
    if (isEnumType(type)) for (const value of type.getValues()) check(`${type.name}.${value.name}`, value.description);
    if (isInputObjectType(type))
      for (const field of Object.values(type.getFields())) check(`${type.name}.${field.name}`, field.description);
    if (isObjectType(type) || isInterfaceType(type)) {
      for (const field of Object.values(type.getFields())) {
        check(`${type.name}.${field.name}`, field.description);
        for (const argument of field.args) check(`${type.name}.${field.name}(${argument.name})`, argument.description);
      }
    }
  };
  for (const type of Object.values(apiSchema.getTypeMap()))
    if (!type.name.startsWith('__') && !isSpecifiedScalarType(type)) checkType(type);
  expect(missing).toEqual([]);
});

test('nothing of the machinery of federation is seen by clients', () => {
  expect(apiSdl).not.toMatch(/_entities|_service|join__|link__|@key|_Any/);
});

test('the examples of the explorer are valid operations with valid variables', () => {
  expect(examples.length).toBeGreaterThan(4);
  for (const { query, variables } of examples) {
    expect(validate(apiSchema, parse(query))).toEqual([]);
    if (variables !== undefined) expect(JSON.parse(variables)).toBeTypeOf('object');
  }
});

test('tools can read the schema by introspection', () => {
  const { data, errors } = graphqlSync({ schema: apiSchema, source: getIntrospectionQuery() });
  expect(errors).toBeUndefined();
  expect(data?.['__schema']).toMatchObject({ subscriptionType: { name: 'Subscription' } });
});
