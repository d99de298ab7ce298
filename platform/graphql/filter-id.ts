import { FleetgraphError } from '../errors.js';

/** Longest id that anything has, in UTF-16 units. */
export const maxIdLength = 128;

/**
 * The id that a filter compares with; undefined if it has no such condition.
 * @throws FleetgraphError BAD_USER_INPUT for one that nothing can have: an empty one is more likely a variable that was not set.
 */
export function readFilterId(id: string | null | undefined, field: string): string | undefined {
  if (id === null || id === undefined) return undefined;
  if (id.length >= 1 && id.length <= maxIdLength) return id;
  throw new FleetgraphError('BAD_USER_INPUT', `${field} must be 1 to ${maxIdLength} characters.`, { field });
}
