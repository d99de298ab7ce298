/**
 * Arguments that come from what is above an entity: `@context` and `@fromContext` of federation 2.8
 * (https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/directives#context). The subgraph is asked for such
 * a field as an entity, with the value of the nearest type that has the context as a variable; clients don't see the argument.
 */
import { isObjectType } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

const label = (name: string) => (args: object) => `${name} in ${String((args as { locale: unknown }).locale)}`;
const giro: Thing = { __typename: 'Account', id: 'giro', iban: 'DE1', label: label('giro') };
const savings: Thing = { __typename: 'Account', id: 'savings', iban: 'DE2', label: label('savings') };
const cleo: Thing = { __typename: 'User', id: 'cleo', locale: null, account: giro, friends: [] };
const bob: Thing = { __typename: 'User', id: 'bob', locale: 'fr', account: giro, friends: [cleo] };
const ann: Thing = { __typename: 'User', id: 'ann', locale: 'de', account: giro, friends: [bob, cleo], other: savings };
const data = { roots: { me: ann, users: [ann, bob], account: giro }, entities: [ann, bob, cleo, giro, savings] };

describe('a context of the subgraph that asks for it', () => {
  let graph: Federation;
  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        users: `
          type Query { me: User! users: [User!]! }
          type User @key(fields: "id") @context(name: "user") {
            id: ID! locale: String account: Account! other: Account friends: [User!]!
          }
          type Account @key(fields: "id") { id: ID! label(locale: String @fromContext(field: "$user { locale }")): String! }`,
        banks: `type Account @key(fields: "id") { id: ID! iban: String! }`,
      },
      data,
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('is not an argument that clients see', () => {
    const account = graph.supergraph.apiSchema.getType('Account');
    expect(isObjectType(account) && account.getFields()['label']?.args).toEqual([]);
  });

  test('gives its value, whatever the field is called by the client, beside what others know', async () => {
    expect(await graph.ask('{ me { account { label } } }')).toEqual({
      data: { me: { account: { label: 'giro in de' } } },
    });
    expect(await graph.ask('{ who: me { locale: id at: account { name: label iban } } }')).toEqual({
      data: { who: { locale: 'ann', at: { name: 'giro in de', iban: 'DE1' } } },
    });
  });

  test('gives one entity another value in each place where it is', async () => {
    expect(await graph.ask('{ users { account { label } other { label } } }')).toEqual({
      data: {
        users: [
          { account: { label: 'giro in de' }, other: { label: 'savings in de' } },
          { account: { label: 'giro in fr' }, other: null },
        ],
      },
    });
  });

  test('is that of the nearest type that has it; where that says null, null is given', async () => {
    expect(
      await graph.ask('{ me { account { label } friends { account { label } friends { account { label } } } } }'),
    ).toEqual({
      data: {
        me: {
          account: { label: 'giro in de' },
          friends: [
            { account: { label: 'giro in fr' }, friends: [{ account: { label: 'giro in null' } }] },
            { account: { label: 'giro in null' }, friends: [] },
          ],
        },
      },
    });
  });
});

describe('a context that another subgraph knows', () => {
  let graph: Federation;
  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        users: `
          type Query { me: User! users: [User!]! }
          type User @key(fields: "id") { id: ID! locale: String }`,
        accounts: `
          type User @key(fields: "id") @context(name: "owner") { id: ID! locale: String @external account: Account! }
          type Account @key(fields: "id") { id: ID! label(locale: String @fromContext(field: "$owner { locale }")): String! }`,
      },
      data,
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('is fetched there first', async () => {
    expect(await graph.ask('{ users { account { label } } }')).toEqual({
      data: { users: [{ account: { label: 'giro in de' } }, { account: { label: 'giro in fr' } }] },
    });
    expect(graph.requests.map(({ subgraph }) => subgraph).slice(0, 2)).toEqual(['users', 'accounts']);
  });
});

describe('a context of several types', () => {
  let graph: Federation;
  const shop: Thing = { __typename: 'Shop', id: 's', language: 'it', account: savings };
  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        owners: `
          type Query { owners: [Owner!]! }
          union Owner = User | Shop
          type User @key(fields: "id") @context(name: "owner") { id: ID! locale: String account: Account! }
          type Shop @key(fields: "id") @context(name: "owner") { id: ID! language: String account: Account! }
          type Account @key(fields: "id") {
            id: ID!
            label(locale: String @fromContext(field: "$owner ... on User { locale } ... on Shop { language }")): String!
          }`,
      },
      data: { roots: { owners: [ann, shop] }, entities: [ann, shop, giro, savings] },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('gives what each type says', async () => {
    expect(
      await graph.ask('{ owners { ... on User { account { label } } ... on Shop { account { label } } } }'),
    ).toEqual({ data: { owners: [{ account: { label: 'giro in de' } }, { account: { label: 'savings in it' } }] } });
  });
});
