/** A query or mutation from a transport that streams, through the pipeline of HTTP. */
import type { ApolloServer } from '@apollo/server';
import { FleetgraphError } from '../../platform/errors.js';
import type { GatewayContext } from '../request-context.js';
import type { KnownOperation } from './operations.js';

export interface OnceRequest {
  readonly operation: KnownOperation;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
}

/** @returns a function that gives the result, errors included. */
export function createExecuteOnce(server: ApolloServer<GatewayContext>): (request: OnceRequest) => Promise<object> {
  return async ({ operation, operationName, variables, context }) => {
    const { body } = await server.executeOperation(
      {
        query: operation.document,
        variables: { ...variables },
        ...(operationName === undefined ? {} : { operationName }),
      },
      { contextValue: context },
    );
    if (body.kind !== 'single')
      throw new FleetgraphError('BAD_USER_INPUT', '@defer is not supported. Ask for everything at once.');
    return body.singleResult;
  };
}
