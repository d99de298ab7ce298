/**
 * From joined data to the bytes of the answer. What can be made ready before there are variables is; a writer is compiled for
 * each way in which @skip and @include can turn out, when it is first needed.
 */
import type { DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { exactJson } from '../../../platform/json/exact-json.js';
import type { JsonObject } from '../json.js';
import type { Restriction } from '../restriction.js';
import type { Tape } from '../tape/tape.js';
import { compileWriter, type Writer } from './compile-writer.js';
import { complete } from './complete.js';
import type { FailurePlaces } from './failure-places.js';
import { introspect } from './introspection.js';
import { fragmentsOf, type ResponseShape, type ShapedOperation } from './response-shape.js';
import { shapeVariants } from './shape-variants.js';

export interface Response {
  /** JSON: `{"data":…}`. */
  readonly body: Buffer;
  /** What was wrong with what the subgraphs gave. */
  readonly errors: readonly GraphQLError[];
}

export type Respond = (
  tape: Tape,
  data: JsonObject,
  variables: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
  /** What went wrong on the way to the data. */
  failures?: FailurePlaces,
) => Response;

interface Variant {
  readonly shape: ResponseShape;
  readonly write: Writer;
}

const noErrors: readonly GraphQLError[] = [];

export function compileResponse(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  denials?: Restriction['denials'],
  dataNames: ShapedOperation['dataNames'] = new Map(),
): Respond {
  const shaped: ShapedOperation = { schema, operation, fragments: fragmentsOf(document), denials, dataNames };
  const variantOf = shapeVariants<Variant>(document, shaped, (shape) => ({ shape, write: compileWriter(shape) }));

  return (tape, data, variables, given, failures) => {
    const { shape, write } = variantOf(variables);
    const introspection = introspect(shaped, shape, given);
    const body = failures ? undefined : write(tape, data, introspection);
    if (body) return { body, errors: noErrors };
    const completed = complete(shape, tape, data, introspection, failures);
    return { body: Buffer.from(`{"data":${exactJson(completed.data) ?? 'null'}}`), errors: completed.errors };
  };
}
