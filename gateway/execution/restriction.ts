/** A part of an operation that is not to be executed: in the answer, an error stands where it would have been. */
import type { DocumentNode, FieldNode } from 'graphql';

export interface Denial {
  readonly code: 'FORBIDDEN' | 'UNAUTHENTICATED';
  readonly message: string;
}

export interface Restriction {
  /** What is planned and fetched: the operation without what is denied. */
  readonly allowed: DocumentNode;
  /** The fields of the whole document that are denied. */
  readonly denials: ReadonlyMap<FieldNode, Denial>;
}
