/**
 * The graph of the published federation benchmarks, after https://github.com/graphql-hive/graphql-gateways-benchmark: four subgraphs
 * of a shop, and a query that asks for the same users, products and reviews over and over again, 77 kB of answer.
 */
import { composeServices } from '@apollo/composition';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse, type GraphQLSchema } from 'graphql';

export const subgraphNames = ['accounts', 'products', 'inventory', 'reviews'] as const;
export type SubgraphName = (typeof subgraphNames)[number];

const link = (imports: string): string =>
  `extend schema @link(url: "https://specs.apollo.dev/federation/v2.0", import: [${imports}])`;

const sdls: Readonly<Record<SubgraphName, string>> = {
  accounts: `${link('"@key", "@shareable"')}
    type Query { me: User user(id: ID!): User users: [User] }
    type User @key(fields: "id") { id: ID! name: String username: String @shareable birthday: Int }`,
  products: `${link('"@key"')}
    type Query { topProducts(first: Int = 5): [Product] }
    type Product @key(fields: "upc") { upc: String! name: String price: Int weight: Int }`,
  inventory: `${link('"@key", "@external", "@requires"')}
    type Product @key(fields: "upc") {
      upc: String! weight: Int @external price: Int @external inStock: Boolean
      shippingEstimate: Int @requires(fields: "price weight")
    }`,
  reviews: `${link('"@key", "@external", "@provides"')}
    type Review @key(fields: "id") { id: ID! body: String product: Product author: User @provides(fields: "username") }
    type User @key(fields: "id") { id: ID! username: String @external reviews: [Review] }
    type Product @key(fields: "upc") { upc: String! reviews: [Review] }`,
};

const numbers = (count: number): number[] => Array.from({ length: count }, (_unused, index) => index + 1);
const users = numbers(6).map((id) => ({
  id: String(id),
  name: `User ${id}`,
  username: `user${id}`,
  birthday: 1_234_567_890,
}));
const products = numbers(9).map((upc) => ({ upc: String(upc), name: `P${upc}`, price: 100 * upc, weight: 100 * upc }));
const sentence = 'Lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor. ';
const reviews = [1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4].map((upc, index) => ({
  id: String(index + 1),
  body: sentence.repeat(3 + (index % 4)),
  upc: String(upc),
}));
type ReviewRow = (typeof reviews)[number];

const reviewsOfUser = () => reviews.slice(0, 2).map(reviewOf);
const productOf = (upc: string) => ({
  __typename: 'Product',
  upc,
  reviews: () => reviews.filter((review) => review.upc === upc).map(reviewOf),
});
function reviewOf({ id, body, upc }: ReviewRow): object {
  const author = { __typename: 'User', id: '1', username: 'urigo', reviews: reviewsOfUser };
  return { id, body, author, product: productOf(upc) };
}

const resolvers: Readonly<Record<SubgraphName, object>> = {
  accounts: {
    Query: {
      users: () => users,
      me: () => users[0],
      user: (_root: unknown, { id }: { id: string }) => users[Number(id) - 1],
    },
    User: { __resolveReference: ({ id }: { id: string }) => users.find((user) => user.id === id) },
  },
  products: {
    Query: { topProducts: (_root: unknown, { first }: { first: number }) => products.slice(0, first) },
    Product: { __resolveReference: ({ upc }: { upc: string }) => products.find((product) => product.upc === upc) },
  },
  inventory: {
    Product: {
      __resolveReference: (product: object) => ({ ...product, inStock: true }),
      shippingEstimate: ({ price, weight }: { price: number; weight: number }) =>
        price > 1_000 ? 0 : Math.round(weight * 0.5),
    },
  },
  reviews: {
    Product: { __resolveReference: ({ upc }: { upc: string }) => productOf(upc) },
    User: { __resolveReference: (user: object) => ({ ...user, reviews: reviewsOfUser }) },
  },
};

export function subgraphSchema(name: SubgraphName): GraphQLSchema {
  return buildSubgraphSchema([{ typeDefs: parse(sdls[name]), resolvers: resolvers[name] as never }]);
}

/** @param root where the subgraphs are, each at its name. */
export function supergraphOf(root: string): string {
  const { supergraphSdl, errors } = composeServices(
    subgraphNames.map((name) => ({ name, url: `${root}/${name}`, typeDefs: parse(sdls[name]) })),
  );
  if (supergraphSdl === undefined) throw new AggregateError(errors ?? []);
  return supergraphSdl;
}

export const heavyQuery = `fragment User on User { id username name }
fragment Review on Review { id body }
fragment Product on Product { inStock name price shippingEstimate upc weight }
query TestQuery {
  users { ...User reviews { ...Review product { ...Product reviews { ...Review author { ...User reviews { ...Review product { ...Product } } } } } } }
  topProducts { ...Product reviews { ...Review author { ...User reviews { ...Review product { ...Product } } } } }
}`;

/** Small queries, as most are: by how many subgraphs are asked. */
export const oneSubgraphQuery = 'query One { me { id name username } }';
export const twoSubgraphsQuery = 'query Two { topProducts(first: 3) { upc name inStock } }';
