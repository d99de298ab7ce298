// Program: plain ApolloGateway with Apollo's standalone server, for the supergraph in the file that is its argument.
import { ApolloGateway } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { readFileSync } from 'node:fs';

process.env['APOLLO_TELEMETRY_DISABLED'] ??= 'true';
const gateway = new ApolloGateway({ supergraphSdl: readFileSync(process.argv[2] ?? '', 'utf8') });
const server = new ApolloServer({ gateway });
const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } });
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { url } }));
