import { execute, parse } from 'graphql';
import { expect, test } from 'vitest';
import { createSubgraphSchema, type Resolvers } from '../../../platform/graphql/subgraph.js';
import type { Scope } from '../../../platform/identity/identity.js';

const head = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@requiresScopes"])
  directive @referenceScopes(scopes: [[String!]!]!) on OBJECT
  type Query { tank(id: ID!): Tank @requiresScopes(scopes: [["device:read"]]) }`;
const resolvers: Resolvers = {
  Tank: { __resolveReference: ({ id }: { id: string }) => ({ id, level: 5 }), level: () => 5 },
};
const tank = (directives: string, level = 'level: Int', key = '@key(fields: "id")'): string =>
  `${head} type Tank ${key} ${directives} { id: ID! ${level} }`;

test.each([
  ['says nothing of scopes', tank(''), resolvers, '@referenceScopes'],
  ['has no resolver of references', tank('@referenceScopes(scopes: [["device:read"]])'), {}, '__resolveReference'],
  ['asks for a scope that there is not', tank('@referenceScopes(scopes: [["tank:read"]])'), resolvers, 'tank:read'],
  [
    'leaves the scopes to its fields, one of which has none',
    tank('@referenceScopes(scopes: [])'),
    resolvers,
    'Tank.level',
  ],
  [
    'is extended, and says nothing of scopes',
    `${head} extend type Tank @key(fields: "id") { id: ID! level: Int }`,
    resolvers,
    '@referenceScopes',
  ],
])('a schema does not start with an entity that %s', (_what, sdl, given, reason) => {
  expect(() => createSubgraphSchema(sdl, given)).toThrow(reason);
});

test('an entity that is resolved elsewhere needs no scopes', () => {
  createSubgraphSchema(tank('', 'level: Int', '@key(fields: "id", resolvable: false)'), {});
});

async function entities(sdl: string, representation: unknown, scopes: readonly Scope[]) {
  const context = { identity: { tenant: 'acme', subject: 's', scopes: new Set(scopes), expiresAtMs: 0 } };
  return execute({
    schema: createSubgraphSchema(sdl, resolvers),
    document: parse('query ($of: [_Any!]!) { _entities(representations: $of) { ... on Tank { id level } } }'),
    variableValues: { of: [representation] },
    contextValue: context,
  });
}

const one = { __typename: 'Tank', id: 't' };

test('a reference is resolved for those who have the scopes, and for nobody else', async () => {
  const sdl = tank('@referenceScopes(scopes: [["device:read", "telemetry:read"], ["device:write"]])');
  const found = { data: { _entities: [{ id: 't', level: 5 }] } };
  expect(await entities(sdl, one, ['device:read', 'telemetry:read'])).toEqual(found);
  expect(await entities(sdl, one, ['device:write'])).toEqual(found);
  for (const scopes of [[], ['device:read'], ['command:read']] as const) {
    const refused = await entities(sdl, one, scopes);
    expect(refused.data).toEqual({ _entities: [null] });
    expect(refused.errors?.[0]?.message).toContain('device:read and telemetry:read, or device:write');
  }
});

test('a reference whose fields ask for their own scopes shows nothing but its key without them', async () => {
  const sdl = tank('@referenceScopes(scopes: [])', 'level: Int @requiresScopes(scopes: [["telemetry:read"]])');
  expect((await entities(sdl, one, [])).data).toEqual({ _entities: [{ id: 't', level: null }] });
  expect((await entities(sdl, one, ['telemetry:read'])).data).toEqual({ _entities: [{ id: 't', level: 5 }] });
});

test.each([[{ __typename: 'Tank' }], [{ __typename: 'Tank', id: 7 }], [{ __typename: 'Tank', id: ['t'] }]])(
  'a reference without its key, or with one that is no text, is refused: %j',
  async (representation) => {
    const { errors } = await entities(tank('@referenceScopes(scopes: [["device:read"]])'), representation, [
      'device:read',
    ]);
    expect(errors?.[0]?.message).toBe('A reference to a Tank needs "id" as text.');
  },
);
