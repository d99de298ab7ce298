/**
 * Admits a request over HTTP: verifies its token, then finds its operation. The order keeps callers
 * without a token from costly work. The operation is looked up exactly once, because a second
 * look-up counts as use (operation-cache.ts).
 */
import type { FastifyRequest } from 'fastify';
import { GraphQLError } from 'graphql';
import type { GatewayContext } from '../request-context.js';
import { OperationFault } from './http-refusal.js';
import type { HttpParameters } from './http-request.js';
import type { FindOperation, KnownOperation } from './operations.js';
import type { PersistedQueries } from './persisted-queries.js';

export interface Admitted {
  readonly parameters: HttpParameters;
  readonly context: GatewayContext;
  /** The operation, or why it is refused. A stream reports that in the stream. */
  readonly found: KnownOperation | OperationFault;
}

/**
 * @throws FleetgraphError UNAUTHENTICATED without a valid token, NOT_FOUND for an unknown id,
 * BAD_USER_INPUT for a malformed hash
 */
export type Admit = (request: FastifyRequest, parameters: HttpParameters) => Promise<Admitted>;

export interface AdmissionOptions {
  readonly findOperation: FindOperation;
  readonly persisted: PersistedQueries;
  /** @throws FleetgraphError UNAUTHENTICATED without a valid token. */
  readonly createContext: (request: FastifyRequest) => Promise<GatewayContext>;
  /** In development, tools may read the schema without a token. */
  readonly production: boolean;
}

export function createAdmission({ findOperation, persisted, createContext, production }: AdmissionOptions): Admit {
  const find = (parameters: HttpParameters): Admitted['found'] => {
    let query: string;
    try {
      query = persisted.textOf(parameters);
    } catch (error) {
      // An unknown hash is a step of the protocol of persisted queries.
      if (error instanceof GraphQLError) return new OperationFault([error], true);
      throw error;
    }
    try {
      const found = findOperation({ query, operationName: parameters.operationName });
      return 'document' in found ? found : new OperationFault(found, true);
    } catch (error) {
      return new OperationFault([error], false);
    }
  };

  return async (request, parameters) => {
    if (production || request.headers.authorization !== undefined)
      return { parameters, context: await createContext(request), found: find(parameters) };
    const found = find(parameters);
    // Tools get validation errors without a token, too.
    const needsNobody = found instanceof OperationFault || found.asksForSchemaOnly;
    return { parameters, context: needsNobody ? { forwarded: {} } : await createContext(request), found };
  };
}
