/** The explorer, served from this machine: GraphiQL with subscriptions over WebSocket, built at install, without any CDN. */
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FleetgraphError } from '../../platform/errors.js';
import { isFromThisMachine } from '../guards/same-machine.js';

const bundle = fileURLToPath(new URL('./dist', import.meta.url));

/** Adds `/explorer`, and `/auth/development-token` so that it works without a token being pasted. */
export async function addExplorerRoutes(
  app: FastifyInstance,
  developmentToken: (() => Promise<string>) | undefined,
): Promise<void> {
  app.get('/', async (_request, reply) => reply.redirect('/explorer/'));
  if (developmentToken) {
    app.get('/auth/development-token', async ({ socket: { remoteAddress }, headers }, reply) => {
      if (!isFromThisMachine({ remoteAddress, headers }))
        throw new FleetgraphError(
          'FORBIDDEN',
          'A development token is given to this machine only. Make one with "npm run fleetgraph -- token --tenant acme" and paste it.',
        );
      return reply.header('cache-control', 'no-store').send({ token: await developmentToken() });
    });
  }
  if (existsSync(bundle)) {
    app.get('/explorer', async (_request, reply) => reply.redirect('/explorer/'));
    await app.register(fastifyStatic, { root: bundle, prefix: '/explorer/', cacheControl: true, maxAge: '1h' });
  } else {
    app.get('/explorer', async (_request, reply) =>
      reply
        .code(404)
        .type('text/plain')
        .send('The explorer was not built. Run "npm install" again, or "node gateway/explorer/build.mjs".'),
    );
  }
}
