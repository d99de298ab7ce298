/**
 * What the status of an answer says to the client, where the errors in its body have no code that
 * clients know. GraphQL over HTTP sends `errors` with a status: the status is the part that means
 * the same to every server.
 */
import { GraphQLError } from 'graphql';
import type { ErrorCode } from '../../../platform/errors.js';
import { unavailable } from './unavailable.js';

/** In place of the subgraph's own words, which are not for clients. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

/** @returns undefined for a status that says nothing more than the body does. */
export function refusalOf(status: number, subgraph: string): Refusal | undefined {
  switch (status) {
    case 401:
      return { code: 'UNAUTHENTICATED', message: 'The subgraph asks for a good token.' };
    case 403:
      return { code: 'FORBIDDEN', message: 'The subgraph refuses the token.' };
    case 429:
      return {
        code: 'RATE_LIMITED',
        message: `The subgraph "${subgraph}" takes no more requests for the moment. Try again later.`,
      };
    case 502:
    case 503:
    case 504:
      return { code: 'UNAVAILABLE', message: unavailable(subgraph).message };
    default:
      return undefined;
  }
}

export function errorOfRefusal({ code, message }: Refusal): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}
