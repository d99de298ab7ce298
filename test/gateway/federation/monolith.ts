/** The graph as one server would answer it: the same data, without subgraphs. What the gateway is compared with. */
import {
  execute,
  isAbstractType,
  isObjectType,
  Kind,
  parse,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLObjectType,
  type GraphQLSchema,
  type SelectionNode,
} from 'graphql';
import { isRecord, valueOf, type GraphData } from './graph-data.js';
import { argumentOf, selections } from './subgraph-of-data.js';

export interface Monolith {
  execute(document: DocumentNode, variables: Readonly<Record<string, unknown>>): ExecutionResult;
}

/** @param apiSchema what clients see of the composed graph; it is given resolvers. */
export function createMonolith(apiSchema: GraphQLSchema, typeDefs: readonly string[], data: GraphData): Monolith {
  const requires = requiredSets(typeDefs);
  const schema = apiSchema;
  for (const type of Object.values(schema.getTypeMap())) {
    if (isAbstractType(type)) type.resolveType = (value) => (value as { __typename: string }).__typename;
    if (isObjectType(type)) resolveFields(type, schema, data, requires);
  }
  return {
    execute: (document, variables) => execute({ schema, document, variableValues: variables }) as ExecutionResult,
  };
}

function resolveFields(
  type: GraphQLObjectType,
  schema: GraphQLSchema,
  data: GraphData,
  requires: ReadonlyMap<string, string>,
): void {
  const isRoot = type === schema.getQueryType() || type === schema.getMutationType();
  for (const field of Object.values(type.getFields())) {
    // An interface object computes for all that implement its interface.
    const owner = [type, ...type.getInterfaces()].find(({ name }) => data.computed?.[`${name}.${field.name}`]);
    const compute = owner && data.computed?.[`${owner.name}.${field.name}`];
    const set = owner && requires.get(`${owner.name}.${field.name}`);
    field.resolve = (source: Readonly<Record<string, unknown>>, args: object) => {
      if (isRoot) return valueOf(data.roots, field.name, args);
      if (!compute) return valueOf(source, field.name, args);
      return compute({ ...source, ...(set === undefined ? {} : pick(source, selections(set), schema, data)) }, args);
    };
  }
}

/** What a field set selects of an object, as it would be sent to who requires it. */
function pick(
  source: Readonly<Record<string, unknown>>,
  set: readonly SelectionNode[],
  schema: GraphQLSchema,
  data: GraphData,
): Record<string, unknown> {
  return Object.assign(
    {},
    ...set.map((selection) => {
      if (selection.kind === Kind.FRAGMENT_SPREAD) return {};
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const on = schema.getType(selection.typeCondition?.name.value ?? '');
        const type = schema.getType(String(source['__typename']));
        const applies =
          on === undefined || on === type || (isAbstractType(on) && isObjectType(type) && schema.isSubType(on, type));
        return applies ? pick(source, selection.selectionSet.selections, schema, data) : {};
      }
      const args = Object.fromEntries(
        (selection.arguments ?? []).map(({ name, value }) => [
          name.value,
          value.kind === Kind.INT ? Number(value.value) : 'value' in value ? value.value : null,
        ]),
      );
      const type = schema.getType(String(source['__typename']));
      const resolve = isObjectType(type) ? type.getFields()[selection.name.value]?.resolve : undefined;
      const value: unknown = resolve
        ? resolve(source, args, undefined, undefined as never)
        : valueOf(source, selection.name.value, args);
      return { [selection.name.value]: inside(value, selection.selectionSet?.selections, schema, data) };
    }),
  ) as Record<string, unknown>;
}

function inside(
  value: unknown,
  set: readonly SelectionNode[] | undefined,
  schema: GraphQLSchema,
  data: GraphData,
): unknown {
  if (!set) return value;
  if (Array.isArray(value)) return value.map((each) => inside(each, set, schema, data));
  return isRecord(value) ? pick(value, set, schema, data) : (value ?? null);
}

/** Field sets of `@requires`, by `Type.field`. */
function requiredSets(typeDefs: readonly string[]): ReadonlyMap<string, string> {
  const sets = new Map<string, string>();
  for (const text of typeDefs) {
    for (const definition of parse(text).definitions) {
      if (!('fields' in definition) || !('name' in definition)) continue;
      for (const field of definition.fields ?? []) {
        const directive = field.directives?.find(({ name }) => name.value === 'requires');
        if (directive && definition.name)
          sets.set(`${definition.name.value}.${field.name.value}`, String(argumentOf(directive, 'fields')));
      }
    }
  }
  return sets;
}
