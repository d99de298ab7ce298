/** Errors that a subgraph reports: in an event, or in the message that ends an operation. */
import type { GraphQLFormattedError } from 'graphql';
import { isObject } from '../execution/json.js';

/** Errors of one operation or event that are kept: each may write a log line. */
const maxErrors = 20;

/** A subgraph ended an operation with errors. They are not masked yet (present-ending.ts). */
export class EndedBySubgraph extends Error {
  readonly subgraph: string;
  readonly errors: readonly GraphQLFormattedError[];

  /** @param payload of the message `error`; it should be a list of GraphQL errors */
  constructor(subgraph: string, payload: unknown) {
    super(`The subgraph "${subgraph}" ended the subscription.`);
    this.name = 'EndedBySubgraph';
    this.subgraph = subgraph;
    const told = Array.isArray(payload) ? wellFormedErrors(payload, subgraph) : [];
    // An error of a whole operation has no path (GraphQL specification, 7.1.2).
    this.errors = told.length > 0 ? told.map(({ path: _path, ...error }) => error) : [{ message: this.message }];
  }

  /** Whether every error has this code. */
  hasOnlyCode(code: string): boolean {
    return this.errors.every(({ extensions }) => extensions?.['code'] === code);
  }
}

/** The first 20 errors without their malformed parts, and one that counts the others. */
export function wellFormedErrors(errors: readonly unknown[], subgraph: string): readonly GraphQLFormattedError[] {
  const told = errors.slice(0, maxErrors).map((error): GraphQLFormattedError => {
    const { message, path, extensions } = isObject(error) ? error : {};
    const known = wellFormedPath(path);
    return {
      message: typeof message === 'string' && message !== '' ? message : `The subgraph "${subgraph}" failed.`,
      ...(known.length > 0 ? { path: known } : {}),
      ...(isObject(extensions) ? { extensions } : {}),
    };
  });
  const more = errors.length - told.length;
  return more > 0 ? [...told, { message: `The subgraph "${subgraph}" told ${more} more errors.` }] : told;
}

/** The longest prefix of field names and list indices. */
function wellFormedPath(path: unknown): readonly (string | number)[] {
  const elements: readonly unknown[] = Array.isArray(path) ? path : [];
  const end = elements.findIndex((element) => !isPathElement(element));
  return (end === -1 ? elements : elements.slice(0, end)) as readonly (string | number)[];
}

function isPathElement(element: unknown): boolean {
  return typeof element === 'string' || (Number.isSafeInteger(element) && (element as number) >= 0);
}
