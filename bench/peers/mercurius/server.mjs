// Program: Mercurius' gateway before the subgraphs whose names, addresses and schemas (federation 1) are its arguments: JSON.
import mercuriusGateway from '@mercuriusjs/gateway';
import Fastify from 'fastify';

const [services] = process.argv.slice(2).map((argument) => JSON.parse(argument));
const app = Fastify();
await app.register(mercuriusGateway, {
  subscription: true,
  gateway: {
    services: services.map(({ name, url, schema, hasStreams }) => ({
      ...{ name, url, schema, mandatory: true },
      // The streams of the benchmark belong to somebody; who it is does not matter.
      rewriteHeaders: () => ({ authorization: 'Bearer any' }),
      ...(hasStreams
        ? {
            wsUrl: url.replace(/^http/, 'ws'),
            wsConnectionParams: { protocols: ['graphql-transport-ws'], reconnect: false },
          }
        : {}),
    })),
  },
});
console.log(JSON.stringify({ hello: { url: await app.listen({ host: '127.0.0.1', port: 0 }) } }));
process.once('SIGTERM', () => process.exit(0));
