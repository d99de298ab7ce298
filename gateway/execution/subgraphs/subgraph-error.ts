/**
 * An error in the answer of a subgraph, read as what the specification says that it is (7.1.2).
 * What is none all the same is not let through, and not left out either: it becomes an error
 * without the part that could not be read.
 */
import type { GraphQLFormattedError } from 'graphql';
import { errorCodes } from '../../../platform/errors.js';
import { isObject } from '../json.js';
import type { Refusal } from './subgraph-refusal.js';

export interface SubgraphError extends GraphQLFormattedError {
  /** What it means to the client; undefined: what its code says. */
  readonly refusal?: Refusal;
}

/** Of an answer that has very many, so many are reported. */
const maxErrors = 1_000;

/**
 * @param refusal what the status of the answer says, for those without a code that clients know.
 */
export function errorsIn(given: readonly unknown[], subgraph: string, refusal?: Refusal): SubgraphError[] {
  const errors = given.slice(0, maxErrors).map((each): SubgraphError => {
    const error = isObject(each) ? each : {};
    const { message, path, locations, extensions } = error;
    return {
      message: typeof message === 'string' && message !== '' ? message : `The subgraph "${subgraph}" failed.`,
      ...(isPath(path) ? { path } : {}),
      ...(Array.isArray(locations) ? { locations: locations.filter(isLocation) } : {}),
      ...(isObject(extensions) ? { extensions } : {}),
      ...(refusal === undefined || hasKnownCode(extensions) ? {} : { refusal }),
    };
  });
  const more = given.length - errors.length;
  return more > 0 ? [...errors, { message: `The subgraph "${subgraph}" told ${more} more errors.` }] : errors;
}

/**
 * Apollo Server gives `INTERNAL_SERVER_ERROR` to every error without a code: the status says more.
 */
function hasKnownCode(extensions: unknown): boolean {
  const code = isObject(extensions) ? extensions['code'] : undefined;
  return typeof code === 'string' && Object.hasOwn(errorCodes, code) && code !== 'INTERNAL_SERVER_ERROR';
}

function isPath(path: unknown): path is readonly (string | number)[] {
  return (
    Array.isArray(path) &&
    path.length > 0 &&
    path.every((element) => typeof element === 'string' || (Number.isSafeInteger(element) && element >= 0))
  );
}

function isLocation(location: unknown): location is { readonly line: number; readonly column: number } {
  return isObject(location) && Number.isInteger(location['line']) && Number.isInteger(location['column']);
}
