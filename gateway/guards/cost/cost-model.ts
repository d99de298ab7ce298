/**
 * What fields, arguments and types of a supergraph cost, and how long their lists are: as `@cost` and `@listSize` say, and where
 * they don't by defaults. An object costs 1, a leaf nothing. A list is as long as its page (`first`, `last`) or as a setting says.
 * Source: https://ibm.github.io/graphql-specs/cost-spec.html
 */
import {
  getNamedType,
  isCompositeType,
  isInputObjectType,
  isIntrospectionType,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLSchema,
} from 'graphql';
import { directiveOf, linkedDirective } from '../linked-directive.js';

const costSpecification = 'https://specs.apollo.dev/cost';
/** Where connections have what their page has (https://relay.dev/graphql/connections.htm). */
const fieldsOfConnection = ['edges', 'nodes'];

export interface ListSize {
  /** Arguments, with a path into them, that say how long the list is; the greatest counts. */
  readonly slicing: readonly (readonly string[])[];
  readonly assumed: number | undefined;
  /** Fields of the type that are the lists; undefined: it is the field itself. */
  readonly sizedFields: readonly string[] | undefined;
}

export interface CostModel {
  readonly schema: GraphQLSchema;
  /** How long a list is of which nothing says it. */
  readonly listSize: number;
  weightOf(field: GraphQLField<unknown, unknown>): number;
  /** Of an argument that is given, with what its value holds. */
  weightOfArgument(argument: GraphQLArgument, value: unknown): number;
  sizeOf(field: GraphQLField<unknown, unknown>): ListSize | undefined;
}

export function createCostModel(schema: GraphQLSchema, listSize: number): CostModel {
  const costName = linkedDirective(schema, costSpecification, 'cost');
  const listSizeName = linkedDirective(schema, costSpecification, 'listSize');

  const weightIn = (element: { readonly astNode?: unknown }): number | undefined => {
    const weight = directiveOf(element.astNode as Parameters<typeof directiveOf>[0], costName)?.['weight'];
    return weight === undefined ? undefined : Number(weight);
  };
  const weightOfType = (type: GraphQLNamedType): number => {
    if (isIntrospectionType(type)) return 0;
    return weightIn(type) ?? (isCompositeType(type) ? 1 : 0);
  };
  const weightOfValue = (type: GraphQLInputType, value: unknown): number => {
    const named = getNamedType(type);
    if (Array.isArray(value)) return value.reduce((sum: number, one) => sum + weightOfValue(named, one), 0);
    if (!isInputObjectType(named) || typeof value !== 'object' || value === null) return 0;
    return Object.entries(value).reduce((sum, [name, member]) => {
      const field = named.getFields()[name];
      return field ? sum + (weightIn(field) ?? 0) + weightOfValue(field.type, member) : sum;
    }, 0);
  };

  return {
    schema,
    listSize,
    weightOf: (field) => weightIn(field) ?? weightOfType(getNamedType(field.type)),
    weightOfArgument: (argument, value) =>
      costName === undefined ? 0 : (weightIn(argument) ?? 0) + weightOfValue(argument.type, value),
    sizeOf(field) {
      const said = directiveOf(field.astNode, listSizeName);
      if (said) {
        const { assumedSize, slicingArguments, sizedFields } = said;
        return {
          assumed: typeof assumedSize === 'number' ? assumedSize : undefined,
          slicing: ((slicingArguments ?? []) as string[]).map((path) => path.split('.')),
          sizedFields: sizedFields as string[] | undefined,
        };
      }
      const slicing = field.args.filter(({ name }) => name === 'first' || name === 'last').map(({ name }) => [name]);
      if (slicing.length === 0) return undefined;
      const type = getNamedType(field.type);
      const fields = 'getFields' in type ? type.getFields() : {};
      const lists = fieldsOfConnection.filter((name) => name in fields);
      return { assumed: undefined, slicing, sizedFields: lists.length > 0 ? lists : undefined };
    },
  };
}
