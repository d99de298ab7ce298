/**
 * Relay connections (https://relay.dev/graphql/connections.htm) over keysets: a cursor is the sort key and id of its
 * row, so that a page stays right while rows are added and removed in front of it.
 */
import { isStorableText } from '../database/storable.js';
import { FleetgraphError } from '../errors.js';

export const maxPageSize = 200;

export interface PageArguments {
  readonly first?: number | null;
  readonly after?: string | null;
}

export interface Connection<Node> {
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

/** Size of the page asked for. @throws FleetgraphError BAD_USER_INPUT when it is not 0 to 200. */
export function pageSize(page: PageArguments, fallback = 20): number {
  const size = page.first ?? fallback;
  if (size < 0 || size > maxPageSize)
    throw new FleetgraphError('BAD_USER_INPUT', `"first" is ${size}; it must be from 0 to ${maxPageSize}.`, {
      field: 'first',
    });
  return size;
}

/** An opaque cursor from the key of a row. `order` names the sort, so that a cursor of another one is refused. */
export function encodeCursor(order: string, key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([order, ...key])).toString('base64url');
}

/** The key in a cursor, or undefined if there is none. @throws FleetgraphError BAD_USER_INPUT when it isn't a cursor of this order. */
export function decodeCursor(
  order: string,
  cursor: string | null | undefined,
  length: number,
): readonly string[] | undefined {
  if (cursor === null || cursor === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    const [of, ...key] = Array.isArray(value) ? value.map(String) : [];
    // A cursor was made of a row: what no row can hold would only be an error of the database.
    if (of === order && key.length === length && key.every(isStorableText)) return key;
  } catch {
    // falls through: whatever is wrong with it, the client gets the same answer
  }
  throw new FleetgraphError(
    'BAD_USER_INPUT',
    `The cursor "${cursor.slice(0, 40)}" is not one of this list and order. Take it from "pageInfo.endCursor" of the same query.`,
    { field: 'after' },
  );
}

/** A page from `size + 1` rows: the surplus row only tells that there is more. */
export function toConnection<Node>(
  rows: readonly Node[],
  size: number,
  page: PageArguments,
  cursorOf: (node: Node) => string,
): Connection<Node> {
  const edges = rows.slice(0, size).map((node) => ({ cursor: cursorOf(node), node }));
  return {
    edges,
    pageInfo: {
      hasNextPage: rows.length > size,
      hasPreviousPage: page.after !== null && page.after !== undefined,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
