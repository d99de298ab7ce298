import type { FastifyInstance } from 'fastify';
import type { JSONWebKeySet } from 'jose';
import { createContext } from './request-context.js';
import type { VerifyToken } from '../platform/identity/verify-token.js';

/** `/auth/verify` for a proxy's ForwardAuth; `/auth/jwks.json` with the keys of the development issuer. */
export function addAuthRoutes(app: FastifyInstance, options: { verifyToken: VerifyToken; jwks?: JSONWebKeySet }): void {
  app.get('/auth/verify', async (request, reply) => {
    const { identity } = await createContext({ authorization: request.headers.authorization }, options.verifyToken);
    return reply
      .headers({
        'x-auth-tenant': identity.tenant,
        'x-auth-subject': identity.subject,
        'x-auth-scope': [...identity.scopes].join(' '),
      })
      .send({ tenant: identity.tenant });
  });
  const { jwks } = options;
  if (jwks) app.get('/auth/jwks.json', async () => jwks);
}
