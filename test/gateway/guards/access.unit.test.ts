import { composeServices } from '@apollo/composition';
import fc from 'fast-check';
import { getOperationAST, parse, print, validate } from 'graphql';
import { expect, test } from 'vitest';
import { createAccessRules } from '../../../gateway/guards/access/access-rules.js';
import type { Grants } from '../../../gateway/guards/access/grants.js';
import { operationAccess } from '../../../gateway/guards/access/operation-access.js';
import { buildSupergraph } from '../../../gateway/supergraph/supergraph.js';

const link = (imports: string) =>
  `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: [${imports}])\n`;
const composed = composeServices([
  {
    name: 'people',
    url: 'http://people',
    typeDefs: parse(
      `${link('"@key", "@authenticated", { name: "@requiresScopes", as: "@needs" }, "@policy", "@shareable"')}
      type Query { me: Person people: [Person!]! node: Node any: [Any!]! vault: Vault open: String }
      interface Node { id: ID! label: String }
      type Person implements Node @key(fields: "id") {
        id: ID! label: String name: String friend: Person
        salary: Int @needs(scopes: [["pay:read", "person:read"], ["admin"]])
        mail: String @authenticated
        file: String @policy(policies: [["hr"]])
        weight: Int @needs(scopes: [["health"]])
      }
      type Robot implements Node { id: ID! label: String @needs(scopes: [["robots"]]) }
      type Vault @needs(scopes: [["vault"]]) { gold: Int }
      union Any = Person | Vault`,
    ),
  },
  {
    name: 'parcels',
    url: 'http://parcels',
    typeDefs: parse(
      `${link('"@key", "@requires", "@external", { name: "@requiresScopes", as: "@needs" }')}
      type Person @key(fields: "id") {
        id: ID! weight: Int @external
        postage: Int @requires(fields: "weight") @needs(scopes: [["health"]])
      }`,
    ),
  },
]);
if (!composed.supergraphSdl) throw new Error(composed.errors?.map(({ message }) => message).join('\n'));
// As composition made it before it demanded this.
const sdl = composed.supergraphSdl.replace(/(postage: Int @join__field.*?) @needs\(.*?\)/, '$1');
expect(sdl).not.toBe(composed.supergraphSdl);
const supergraph = buildSupergraph(sdl);
const rules = createAccessRules(supergraph.supergraphSchema);

const anonymous: Grants = { hasToken: false, scopes: new Set(), policies: new Set() };
const holder = (scopes: readonly string[] = [], policies: readonly string[] = []): Grants => ({
  hasToken: true,
  scopes: new Set(scopes),
  policies: new Set(policies),
});
const everything = holder(['admin', 'robots', 'vault', 'health'], ['hr']);

function restricted(text: string, grants: Grants) {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  expect(validate(supergraph.apiSchema, document)).toEqual([]);
  const access = operationAccess(rules, supergraph.supergraphSchema, document, operation);
  const restriction = access.restrictionFor(grants);
  return {
    variant: access.variantFor(grants),
    text: print(restriction?.allowed ?? document).replaceAll(/\s+/g, ' '),
    denials: [...(restriction?.denials.values() ?? [])],
    document: restriction?.allowed ?? document,
  };
}

test.each([
  ['a field', '{ me { name salary } }', '{ me { name } }'],
  ['a field under another name', '{ me { name pay: salary } }', '{ me { name } }'],
  ['a field that is all there was', '{ me { salary } }', '{ me { __typename } }'],
  ['a field in a fragment', '{ me { name ...F } } fragment F on Person { salary }', '{ me { name } }'],
  [
    'a field in a fragment of a fragment',
    '{ me { ...F } } fragment F on Person { ...G name } fragment G on Person { friend { mail } }',
    '{ me { ...F } } fragment F on Person { ...G name } fragment G on Person { friend { __typename } }',
  ],
  ['a field in an inline fragment', '{ me { ... on Person { salary } ... { mail name } } }', '{ me { ... { name } } }'],
  ['a type, by the field that gives it', '{ vault { gold } open }', '{ open }'],
  [
    'a type, by a fragment on it',
    '{ any { ... on Person { name } ... on Vault { gold } } }',
    '{ any { ... on Person { name } } }',
  ],
  ['a type, also its name', '{ any { __typename ... on Vault { __typename } } }', '{ any { __typename } }'],
  ['a field of an interface that one of its types guards', '{ node { id label } }', '{ node { id } }'],
  [
    'a field of one of the types',
    '{ node { ... on Robot { id label } ... on Person { label } } }',
    '{ node { ... on Robot { id } ... on Person { label } } }',
  ],
  ['a field that a field of another subgraph requires', '{ me { name postage } }', '{ me { name } }'],
  ['a policy', '{ people { file name } }', '{ people { name } }'],
  ['everything', 'query Q($x: Boolean = true) { vault @include(if: $x) { gold } }', 'query Q { __typename }'],
])('%s is left out for who may not see it, and is there for who may', (_what, text, left) => {
  expect(restricted(text, anonymous).text).toBe(left);
  expect(restricted(text, everything)).toMatchObject({ denials: [], variant: '' });
});

test('of alternatives one is enough, of each all', () => {
  const salary = (...scopes: string[]) => restricted('{ me { salary } }', holder(scopes)).denials.length === 0;
  expect([salary('pay:read'), salary('person:read'), salary('pay:read', 'person:read'), salary('admin')]).toEqual([
    false,
    false,
    true,
    true,
  ]);
});

test('a denial says what is missing, and to whom a token would help', () => {
  expect(restricted('{ me { salary } }', holder()).denials).toEqual([
    {
      code: 'FORBIDDEN',
      message: 'Person.salary asks for the scope pay:read and person:read, or admin, which your token lacks.',
    },
  ]);
  expect(restricted('{ me { mail } }', anonymous).denials).toMatchObject([{ code: 'UNAUTHENTICATED' }]);
  expect(restricted('{ me { mail } }', holder()).denials).toEqual([]);
});

test('who meets the same demands of an operation shares what is made for it', () => {
  const text = '{ me { salary file } }';
  expect(restricted(text, holder(['admin', 'vault'])).variant).toBe(restricted(text, holder(['admin'])).variant);
  expect(restricted(text, holder(['admin'], ['hr'])).variant).toBe('');
});

const guarded = ['salary', 'mail', 'file', 'gold', 'postage', 'weight'];

test('property: no name of a field that is denied reaches a document for a subgraph', () => {
  const leaf = fc.constantFrom('id', 'name', 'label', ...guarded.filter((name) => name !== 'gold'));
  const person: fc.Arbitrary<string> = fc.letrec<{ person: string }>((tie) => ({
    person: fc
      .array(
        fc.oneof(
          { depthSize: 'small' },
          fc
            .tuple(fc.option(fc.constantFrom('a', 'b')), leaf)
            .map(([alias, name]) => (alias === null ? name : `${alias}${name}: ${name}`)),
          tie('person').map((set) => `friend ${set}`),
          tie('person').map((set) => `... on Person ${set}`),
          tie('person').map((set) => `... @include(if: true) ${set}`),
          fc.constant('...F'),
        ),
        { minLength: 1, maxLength: 4 },
      )
      .map((selections) => `{ ${selections.join(' ')} }`),
  })).person;
  const root = fc.oneof(
    person.map((set) => `me ${set}`),
    person.map((set) => `people ${set}`),
    person.map((set) => `node { id label ... on Person ${set} }`),
    person.map((set) => `any { ... on Vault { gold } ... on Person ${set} }`),
    fc.constant('vault { gold }'),
  );
  fc.assert(
    fc.property(root, fc.constantFrom('{ salary name }', '{ id }', '{ mail }'), (selection, fragment) => {
      const spread = selection.includes('...F') ? ` fragment F on Person ${fragment}` : '';
      const text = `{ ${selection} open }${spread}`;
      const { document } = restricted(text, anonymous);
      expect(validate(supergraph.apiSchema, document)).toEqual([]);
      const words = new Set(print(document).match(/\w+/g));
      expect(guarded.filter((name) => words.has(name))).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
