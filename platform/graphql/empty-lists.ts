/**
 * One meaning of an empty list in all arguments of the graph. A list that selects (types, ids, statuses, names) is refused when
 * it is empty: it could stand for everything as well as for nothing, and more likely something was forgotten. A list that is data
 * (the labels of a device) carries `@mayBeEmpty` in the SDL, and an empty one is stored as it is.
 */
import {
  getNullableType,
  isInputObjectType,
  isListType,
  isNonNullType,
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLInputObjectType,
} from 'graphql';
import { FleetgraphError } from '../errors.js';

/** Directive of lists that are data. Each subgraph that has such a list defines it. */
export const mayBeEmptyDirective = 'mayBeEmpty';

type Check = (value: unknown, field: string) => void;
type Checks = Map<GraphQLInputObjectType, Check | undefined>;

/**
 * What refuses empty lists in the arguments of a field; undefined if it takes no list. Made once for each field.
 * It throws FleetgraphError BAD_USER_INPUT that names the list, e.g. `filter.types`.
 */
export function emptyListCheck(field: {
  readonly args: readonly GraphQLArgument[];
}): ((args: Readonly<Record<string, unknown>>) => void) | undefined {
  const known: Checks = new Map();
  const checks = field.args.flatMap((argument) => {
    const check = checkOf(argument, known);
    return check === undefined ? [] : [{ name: argument.name, check }];
  });
  if (checks.length === 0) return undefined;
  return (args) => {
    for (const { name, check } of checks) check(args[name], name);
  };
}

function checkOf(input: GraphQLArgument | GraphQLInputField, known: Checks): Check | undefined {
  const type = getNullableType(input.type);
  if (!isListType(type)) return isInputObjectType(type) ? checkOfObject(type, known) : undefined;
  const mayBeEmpty = input.astNode?.directives?.some(({ name }) => name.value === mayBeEmptyDirective) === true;
  const itemType = getNullableType(type.ofType);
  const item = isInputObjectType(itemType) ? checkOfObject(itemType, known) : undefined;
  if (mayBeEmpty && item === undefined) return undefined;
  const remedy = isNonNullType(input.type) ? 'Name at least one' : 'Name at least one, or leave it out';
  return (value, field) => {
    if (!Array.isArray(value)) return;
    if (value.length === 0 && !mayBeEmpty)
      throw new FleetgraphError('BAD_USER_INPUT', `${field} is an empty list. ${remedy}.`, { field });
    if (item) value.forEach((one, index) => item(one, `${field}[${index}]`));
  };
}

function checkOfObject(type: GraphQLInputObjectType, known: Checks): Check | undefined {
  if (known.has(type)) return known.get(type);
  const checks: { readonly name: string; readonly check: Check }[] = [];
  const checkAll: Check = (value, field) => {
    if (typeof value !== 'object' || value === null) return;
    const members = value as Readonly<Record<string, unknown>>;
    for (const { name, check } of checks) check(members[name], `${field}.${name}`);
  };
  // Entered before its fields are looked at: an input may hold itself.
  known.set(type, checkAll);
  for (const field of Object.values(type.getFields())) {
    const check = checkOf(field, known);
    if (check !== undefined) checks.push({ name: field.name, check });
  }
  if (checks.length === 0) known.set(type, undefined);
  return known.get(type);
}
