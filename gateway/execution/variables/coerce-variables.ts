/**
 * The variables of a request, coerced by the schema of clients. Subgraphs are sent what the client gave, and coerce it by their
 * own types; what is coerced here decides conditions, and whether the request is executed at all.
 */
import {
  getVariableValues,
  GraphQLError,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { convertLossless, toCoerce, toSend } from '../../../platform/graphql/lossless-variables.js';
import { hasLosslessNumber } from '../../../platform/json/exact-json.js';
import { compileNullFault } from './null-faults.js';
import { numberOutOfRange, outOfRangeFault } from './number-range.js';

type Variables = Readonly<Record<string, unknown>>;

export interface CoercedVariables {
  /** By the types of the operation, defaults included: what conditions ask. */
  readonly coerced: Variables;
  /** As the client gave them: what subgraphs are sent. */
  readonly sent: Variables;
  /** Whether `sent` holds lossless numbers, which `exactJson` can write and `JSON.stringify` can not. */
  readonly isLossless: boolean;
}

/** @returns the variables, or why the request is refused: BAD_USER_INPUT. */
export type CoerceVariables = (given: Variables) => CoercedVariables | { readonly errors: readonly GraphQLError[] };

const noVariables: CoercedVariables = { coerced: {}, sent: {}, isLossless: false };

/** What of it depends on the operation alone is done here, once. */
export function compileCoercion(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): CoerceVariables {
  const { variableDefinitions = [] } = operation;
  const nullFault = compileNullFault(schema, document, operation);
  return (given) => {
    const isLossless = hasLosslessNumber(given);
    const outOfRange = isLossless ? numberOutOfRange(given) : undefined;
    if (outOfRange !== undefined) return { errors: [new GraphQLError(outOfRangeFault('the variables', outOfRange))] };
    if (variableDefinitions.length === 0) return noVariables;
    const toBeCoerced = isLossless ? convertLossless(schema, variableDefinitions, given, toCoerce) : given;
    const { coerced, errors } = getVariableValues(schema, variableDefinitions, toBeCoerced, { maxErrors: 5 });
    if (errors) return { errors: errors.map(readable) };
    const fault = nullFault?.(coerced);
    if (fault) return { errors: [fault] };
    const sent = isLossless ? convertLossless(schema, variableDefinitions, given, toSend) : given;
    return { coerced, sent, isLossless };
  };
}

/** To graphql-js a BigInt is no integer; one that was given is too large for an Int. */
function readable(error: GraphQLError): GraphQLError {
  const message = error.message.replace(
    /Int cannot represent non-integer value: (-?\d+)$/,
    'Int cannot represent non 32-bit signed integer value: $1',
  );
  return new GraphQLError(message, { nodes: error.nodes ?? null });
}
