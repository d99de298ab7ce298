/**
 * What the graphs of the federation tests are made of: objects, each with the fields that the whole graph has of it. Every
 * subgraph is resolved from the same objects, and so is the monolith that the gateway is compared with.
 */

/** A field's value; one with arguments is a function of them. */
export type Value = unknown;

export interface Thing {
  readonly __typename: string;
  readonly [field: string]: Value;
}

export interface GraphData {
  /** Fields of Query and of Mutation. */
  readonly roots: Readonly<Record<string, Value>>;
  /** All entities, to be found by their keys. */
  readonly entities: readonly Thing[];
  /**
   * By `Type.field`: how a subgraph computes a field with `@requires` from what it is sent. The monolith gives it the same,
   * read by the field set of the directive.
   */
  readonly computed?: Readonly<Record<string, (required: Readonly<Record<string, unknown>>, args: object) => unknown>>;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The field's value, with its function called. */
export function valueOf(thing: Readonly<Record<string, unknown>>, field: string, args: object): unknown {
  const value = thing[field];
  return typeof value === 'function' ? (value as (args: object) => unknown)(args) : value;
}
