/** What a subgraph says went wrong with a subscription: in an event, or with the message that ends it. */
import type { GraphQLFormattedError } from 'graphql';
import { isObject } from '../execution/json.js';

/** Of one operation or event so many are looked at: each may have a line in the log. */
const maxErrors = 20;

/** A subgraph ended an operation with errors of its own. Whether clients may see them, `present` decides. */
export class EndedBySubgraph extends Error {
  readonly errors: readonly GraphQLFormattedError[];

  /** @param payload of the message `error`; it should be a list of GraphQL errors */
  constructor(subgraph: string, payload: unknown) {
    super(`The subgraph "${subgraph}" ended the subscription.`);
    this.name = 'EndedBySubgraph';
    const told = wellFormedErrors(payload);
    // An error of a whole operation has no path (GraphQL specification, 7.1.2).
    this.errors = told.length > 0 ? told.map(({ path: _path, ...error }) => error) : [{ message: this.message }];
  }

  /** Whether this is all that it says. */
  hasOnlyCode(code: string): boolean {
    return this.errors.every(({ extensions }) => extensions?.['code'] === code);
  }
}

/** The errors of a list, without the parts that clients could not read; at most 20. */
export function wellFormedErrors(errors: unknown): readonly GraphQLFormattedError[] {
  if (!Array.isArray(errors)) return [];
  return errors
    .slice(0, maxErrors)
    .filter(isObject)
    .map(({ message, path, extensions }) => {
      const known = wellFormedPath(path);
      return {
        message: typeof message === 'string' && message !== '' ? message : 'The subgraph failed.',
        ...(known.length > 0 ? { path: known } : {}),
        ...(isObject(extensions) ? { extensions } : {}),
      };
    });
}

/** As much of a path as is one: names of fields, and indices of lists. */
function wellFormedPath(path: unknown): readonly (string | number)[] {
  if (!Array.isArray(path)) return [];
  const elements = path as readonly unknown[];
  const end = elements.findIndex((element) => !isPathElement(element));
  return (end === -1 ? elements : elements.slice(0, end)) as readonly (string | number)[];
}

function isPathElement(element: unknown): boolean {
  return typeof element === 'string' || (Number.isSafeInteger(element) && (element as number) >= 0);
}
