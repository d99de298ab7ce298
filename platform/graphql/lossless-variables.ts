/**
 * Variables that hold numbers with more digits than a JavaScript number has (platform/json/exact-json.ts), made ready for
 * graphql-js, which knows no such numbers: an `ID` is its digits, a `Float` may be rounded, a custom scalar gets the number
 * as it is. Anything else has no place for one; as a BigInt it is refused in a message that shows its digits.
 */
import {
  getNamedType,
  isInputObjectType,
  isInputType,
  isListType,
  isNonNullType,
  isScalarType,
  specifiedScalarTypes,
  typeFromAST,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLSchema,
  type VariableDefinitionNode,
} from 'graphql';
import { isLosslessNumber, type LosslessNumber } from '../json/exact-json.js';

type Variables = Readonly<Record<string, unknown>>;
type Convert = (number: LosslessNumber, type: GraphQLNamedType) => unknown;

/** The variables with what `convert` makes of each lossless number, by the named type of its place. */
export function convertLossless(
  schema: GraphQLSchema,
  definitions: readonly VariableDefinitionNode[],
  given: Variables,
  convert: Convert,
): Variables {
  const converted: Record<string, unknown> = { ...given };
  for (const { variable, type: node } of definitions) {
    const name = variable.name.value;
    const type = typeFromAST(schema, node);
    if (Object.hasOwn(given, name) && isInputType(type)) converted[name] = convertIn(type, given[name], convert);
  }
  return converted;
}

function convertIn(type: GraphQLInputType, value: unknown, convert: Convert): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (isNonNullType(type)) return convertIn(type.ofType, value, convert);
  if (isLosslessNumber(value)) return convert(value, getNamedType(type));
  if (isListType(type))
    return Array.isArray(value)
      ? value.map((element) => convertIn(type.ofType, element, convert))
      : convertIn(type.ofType, value, convert);
  if (!isInputObjectType(type) || Array.isArray(value)) return value;
  const fields = type.getFields();
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const field = fields[name];
      return [name, field ? convertIn(field.type, member, convert) : member];
    }),
  );
}

/** What graphql-js can coerce. */
export const toCoerce: Convert = (number, type) => {
  if (isCustomScalar(type)) return number;
  if (type.name === 'ID' && isInteger(number)) return number.value;
  return isInteger(number) && type.name !== 'Float' ? BigInt(number.value) : Number(number.value);
};

/** What another service is sent: an `ID` as its digits, since a number beyond 2^53 is no ID to graphql-js. */
export const toSend: Convert = (number, type) => (type.name === 'ID' && isInteger(number) ? number.value : number);

function isInteger({ value }: LosslessNumber): boolean {
  return /^-?\d+$/.test(value);
}

const builtIn = new Set(specifiedScalarTypes.map(({ name }) => name));

function isCustomScalar(type: GraphQLNamedType): boolean {
  return isScalarType(type) && !builtIn.has(type.name);
}
