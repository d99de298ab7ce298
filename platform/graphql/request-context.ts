import type { FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { FleetgraphError } from '../errors.js';
import { bearerToken, type VerifyToken } from '../identity/verify-token.js';
import type { RequestContext } from './context.js';

/** Makes the context of one HTTP request. @throws FleetgraphError UNAUTHENTICATED without a good token. */
export async function requestContext(
  request: Pick<FastifyRequest, 'headers'>,
  verifyToken: VerifyToken,
): Promise<RequestContext> {
  const token = bearerToken(request.headers.authorization);
  if (token === undefined) throw new FleetgraphError('UNAUTHENTICATED', 'Send "Authorization: Bearer <token>".');
  const header = (name: string): string | undefined => {
    const value = request.headers[name];
    return typeof value === 'string' && value.length <= 512 ? value : undefined;
  };
  return {
    identity: await verifyToken(token),
    consistencyToken: header('x-fleetgraph-consistency'),
    traceparent: header('traceparent'),
    clientAddress: addressIn(header('x-fleetgraph-client-address')),
    correlationId: header('x-correlation-id') ?? randomUUID(),
  };
}

function addressIn(text: string | undefined): string | undefined {
  return text !== undefined && isIP(text) !== 0 ? text : undefined;
}
