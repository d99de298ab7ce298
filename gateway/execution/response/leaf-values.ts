/** Which values a leaf may have in an answer: a subgraph may say anything, a client gets what the schema promises. */
import { isLosslessNumber } from '../../../platform/json/exact-json.js';
import { isEnumType, specifiedScalarTypes, type GraphQLLeafType } from 'graphql';

const builtIn = new Set(specifiedScalarTypes.map(({ name }) => name));

/** The value as it is answered; undefined if it is none of the type. */
export function leafValue(type: GraphQLLeafType, value: unknown): unknown {
  if (isEnumType(type)) return typeof value === 'string' && type.getValue(value) ? value : undefined;
  // What a custom scalar is, its subgraph knows.
  if (!builtIn.has(type.name)) return value;
  switch (type.name) {
    case 'Int':
      return typeof value === 'number' && (value | 0) === value ? value : undefined;
    case 'Float':
      if (isLosslessNumber(value)) return Number.isFinite(Number(value.value)) ? value : undefined;
      return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
    case 'Boolean':
      return typeof value === 'boolean' ? value : undefined;
    case 'ID':
      if (isLosslessNumber(value)) return /^-?\d+$/.test(value.value) ? value.value : undefined;
      return typeof value === 'number' && Number.isInteger(value) ? String(value) : textOf(value);
    default:
      return textOf(value);
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
