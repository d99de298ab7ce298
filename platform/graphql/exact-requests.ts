/** Requests to a subgraph of ours over HTTP: the numbers in their variables are what the client sent, or are refused. */
import type { ApolloServerPlugin } from '@apollo/server';
import type { FastifyInstance } from 'fastify';
import { FleetgraphError } from '../errors.js';
import { mayHoldLosslessNumber, parseExactJson } from '../json/exact-json.js';
import { toGraphQLError } from './errors.js';
import { withoutLossless } from './lossless-variables.js';

/** Bodies of requests keep the digits of their numbers, and are refused for the same names as ever. */
export function parseExactBodies(app: FastifyInstance): void {
  const parsePlain = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    void parsePlain(request, body, (error, value: unknown) => {
      done(error, error === null && mayHoldLosslessNumber(body) ? parseExactJson(body) : value);
    });
  });
}

/** To graphql-js a number with more digits than a JavaScript number has is an object. */
export const exactVariables: ApolloServerPlugin = {
  requestDidStart: async () => ({
    async didResolveOperation({ request, operation, schema }) {
      try {
        if (request.variables)
          request.variables = withoutLossless(schema, operation?.variableDefinitions ?? [], request.variables);
      } catch (error) {
        throw error instanceof FleetgraphError ? toGraphQLError(error) : error;
      }
    },
  }),
};
