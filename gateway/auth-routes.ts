/**
 * Who a request comes from, for a proxy in front (ForwardAuth, `auth_request`): 2xx with headers that say who, 401 with a
 * challenge, or 503 while nobody can tell. Proxies hand the refusal to the client as it is, so its body reads as an error of
 * GraphQL and as one of the plain HTTP routes alike.
 * Source: https://www.rfc-editor.org/rfc/rfc6750#section-3
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { JSONWebKeySet } from 'jose';
import { errorCodes, FleetgraphError } from '../platform/errors.js';
import { errorBody } from '../platform/http/service.js';
import type { Identity } from '../platform/identity/identity.js';
import type { VerifyToken } from '../platform/identity/verify-token.js';
import { createContext } from './request-context.js';

/** `/auth/verify` for a proxy's ForwardAuth; `/auth/jwks.json` with the keys of the development issuer. */
export function addAuthRoutes(app: FastifyInstance, options: { verifyToken: VerifyToken; jwks?: JSONWebKeySet }): void {
  app.get('/auth/verify', async (request, reply) => {
    void reply.header('cache-control', 'no-store');
    const { authorization } = request.headers;
    try {
      const { identity } = await createContext({ authorization }, options.verifyToken);
      return await reply.headers(identityHeaders(identity)).code(204).send();
    } catch (error) {
      if (!(error instanceof FleetgraphError)) throw error;
      return refuse(reply, error, authorization !== undefined);
    }
  });
  const { jwks } = options;
  if (jwks) app.get('/auth/jwks.json', async () => jwks);
}

/**
 * Headers that say who a verified identity is. `x-auth-client` names it in one word, to count its requests by.
 * What can't stand in a header is percent-encoded: a subject may be any text (RFC 7519, section 4.1.2).
 */
export function identityHeaders({ tenant, subject, scopes }: Omit<Identity, 'expiresAtMs'>): Record<string, string> {
  const encoded = subject.toWellFormed().replace(/[^!-$&-~]/gu, encodeURIComponent);
  return {
    'x-auth-tenant': tenant,
    'x-auth-subject': encoded,
    'x-auth-scope': [...scopes].join(' '),
    'x-auth-client': `${tenant}/${encoded}`,
  };
}

function refuse(reply: FastifyReply, error: FleetgraphError, tried: boolean): FastifyReply {
  const { code, message } = error;
  if (code === 'UNAUTHENTICATED') {
    // Without credentials no error is named (section 3.1); a description has no quotation marks in it.
    const description = `, error="invalid_token", error_description="${message.replaceAll(/["\\]/g, "'")}"`;
    void reply.header('www-authenticate', `Bearer realm="fleetgraph"${tried ? description : ''}`);
  }
  if (code === 'UNAVAILABLE') void reply.header('retry-after', '1');
  return reply
    .code(errorCodes[code].httpStatus)
    .send({ errors: [{ message, extensions: { code } }], ...errorBody(error) });
}
