// Program: the same supergraph on plain ApolloGateway with Apollo's standalone server, passing the token on.
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { readFile } from 'node:fs/promises';

interface Context {
  readonly authorization: string | undefined;
}

const routes = JSON.parse(process.argv[2] ?? '{}') as Record<string, string>;
// It refuses a supergraph whose scopes it would have to enforce; here the subgraphs do.
const supergraphSdl = (await readFile(new URL('../../gateway/supergraph.graphql', import.meta.url), 'utf8')).replaceAll(
  /(@link\(url: "https:\/\/specs\.apollo\.dev\/requiresScopes\/[^"]+"), for: SECURITY\)/g,
  '$1)',
);
const gateway = new ApolloGateway({
  supergraphSdl,
  buildService: ({ name, url }) =>
    new RemoteGraphQLDataSource<Context>({
      url: routes[name] ?? url ?? '',
      willSendRequest({ request, context }) {
        // Without a request behind it (a health check) the context is empty.
        const { authorization } = context as Partial<Context>;
        if (authorization !== undefined) request.http?.headers.set('authorization', authorization);
      },
    }),
});
const server = new ApolloServer<Context>({ gateway });
const { url } = await startStandaloneServer(server, {
  listen: { port: 0, host: '127.0.0.1' },
  context: async ({ req }) => ({ authorization: req.headers.authorization }),
});
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { url } }));
