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
  Kind,
  specifiedScalarTypes,
  typeFromAST,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLSchema,
  type TypeNode,
  type VariableDefinitionNode,
} from 'graphql';
import { FleetgraphError } from '../errors.js';
import { hasLosslessNumber, isLosslessNumber, type LosslessNumber } from '../json/exact-json.js';

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

/**
 * The variables for an operation of a schema of ours, which has no place for such numbers.
 * @throws FleetgraphError BAD_USER_INPUT for one that would be rounded: in a JSON value that is stored, or sent to a device.
 */
export function withoutLossless(
  schema: GraphQLSchema,
  definitions: readonly VariableDefinitionNode[],
  given: Variables,
): Variables {
  if (!hasLosslessNumber(given)) return given;
  const converted = convertLossless(schema, definitions, given, toCoerce);
  for (const { variable, type } of definitions) {
    const name = variable.name.value;
    // Representations of entities come from subgraphs: no client can send another number.
    if (typeNameOf(type) !== '_Any') refuseLossless(converted[name], name);
  }
  return converted;
}

function refuseLossless(value: unknown, place: string): void {
  if (typeof value !== 'object' || value === null) return;
  if (isLosslessNumber(value))
    throw new FleetgraphError('BAD_USER_INPUT', `${place} is the number ${value.value}, ${roundedFault}`, {
      field: place,
    });
  for (const [name, member] of Object.entries(value))
    refuseLossless(member, Array.isArray(value) ? `${place}[${name}]` : `${place}.${name}`);
}

/** What is wrong with such a number, at the end of a sentence. */
export const roundedFault = 'which can not be kept with all its digits. Send it as a string.';

function typeNameOf(type: TypeNode): string {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : typeNameOf(type.type);
}

/** What another service is sent: an `ID` as its digits, since a number beyond 2^53 is no ID to graphql-js. */
export const toSend: Convert = (number, type) => (type.name === 'ID' && isInteger(number) ? number.value : number);

function isInteger({ value }: LosslessNumber): boolean {
  return /^-?\d+$/.test(value);
}

const builtIn = new Set(specifiedScalarTypes.map(({ name }) => name));

function isCustomScalar(type: GraphQLNamedType): boolean {
  return isScalarType(type) && !builtIn.has(type.name);
}
