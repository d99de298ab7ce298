/**
 * A subgraph as a schema says it, resolved from the data of the whole graph, and strict about what is its own: it refuses a
 * field that is external to it and that it was not sent, one that another subgraph has overridden, and a reference that has none
 * of its resolvable keys. A gateway that asks the wrong subgraph is found out by that.
 */
import { buildSubgraphSchema } from '@apollo/subgraph';
import type { GraphQLResolverMap } from '@apollo/subgraph/dist/schema-helper/resolverMap.js';
import {
  defaultFieldResolver,
  isAbstractType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  Kind,
  parse,
  type ConstDirectiveNode,
  type FieldDefinitionNode,
  type FieldNode,
  type GraphQLField,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { isRecord, valueOf, type GraphData, type Thing } from './graph-data.js';

/** An object with what came along in the reference to it. */
class Referenced {
  constructor(
    readonly thing: Thing,
    readonly reference: Readonly<Record<string, unknown>>,
  ) {}
}

type Resolver = (source: unknown, args: object, context: unknown, info: GraphQLResolveInfo) => unknown;

/** @param overridden `Type.field` of what another subgraph resolves in the place of this one, at this moment. */
export function subgraphOfData(
  typeDefs: string,
  data: GraphData,
  whole: GraphQLSchema,
  overridden: Pick<ReadonlySet<string>, 'has'>,
): GraphQLSchema {
  const document = parse(typeDefs);
  const resolvers: Record<string, Record<string, unknown>> = {};
  const schema = buildSubgraphSchema({ typeDefs: document });
  const roots = [schema.getQueryType(), schema.getMutationType()];
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || type.name.startsWith('_')) continue;
    const own: Record<string, unknown> = {};
    if (isAbstractType(type)) own['__resolveType'] = (value: unknown) => thingOf(value).__typename;
    if (isObjectType(type) || isInterfaceType(type)) {
      const keys = directivesOf(type, 'key').filter((key) => argumentOf(key, 'resolvable') !== false);
      const sets = keys.map((key) => selections(String(argumentOf(key, 'fields'))));
      if (directivesOf(type, 'key').length > 0)
        own['__resolveReference'] = (reference: Readonly<Record<string, unknown>>) =>
          find(type.name, sets, reference, data, whole);
    }
    if (isObjectType(type))
      Object.assign(own, fieldResolvers(type, { typeDefs, isRoot: roots.includes(type) }, data, overridden));
    if (Object.keys(own).length > 0) resolvers[type.name] = own;
  }
  return buildSubgraphSchema({ typeDefs: document, resolvers: resolvers as GraphQLResolverMap<unknown> });
}

function fieldResolvers(
  type: GraphQLObjectType,
  { typeDefs, isRoot }: { readonly typeDefs: string; readonly isRoot: boolean },
  data: GraphData,
  overridden: Pick<ReadonlySet<string>, 'has'>,
): Record<string, Resolver> {
  const isExternalType = directivesOf(type, 'external').length > 0;
  const keys = directivesOf(type, 'key').map((key) => String(argumentOf(key, 'fields')));
  const resolverOf = (field: GraphQLField<unknown, unknown>): Resolver => {
    const name = `${type.name}.${field.name}`;
    const isNamedIn = (set: string): boolean => new RegExp(`\\b${field.name}\\b`).test(set);
    const isExternal =
      isExternalType || field.astNode?.directives?.some(({ name }) => name.value === 'external') === true;
    const isProvided = (typeDefs.match(/@provides\([^)]*\)/g) ?? []).some(isNamedIn);
    const compute = data.computed?.[name];
    return (source, args, context, info) => {
      if (overridden.has(name)) throw new Error(`${name} has been overridden.`);
      if (isRoot) return valueOf(data.roots, field.name, args);
      if (!(source instanceof Referenced) && !isThing(source)) return defaultFieldResolver(source, args, context, info);
      const sent = source instanceof Referenced ? source.reference : {};
      if (isExternal && Object.hasOwn(sent, field.name)) return sent[field.name];
      if (isExternal && !isProvided && !keys.some(isNamedIn)) throw new Error(`${name} is external and was not sent.`);
      const thing = thingOf(source);
      return compute ? compute({ ...thing, ...onlySent(field.astNode, sent) }, args) : valueOf(thing, field.name, args);
    };
  };
  return Object.fromEntries(
    Object.values(type.getFields())
      .filter(({ name }) => !name.startsWith('_'))
      .map((field) => [field.name, resolverOf(field)]),
  );
}

/** What the field requires, and nothing in the place of what was not sent. */
function onlySent(
  field: FieldDefinitionNode | null | undefined,
  sent: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const requires = field?.directives?.find(({ name }) => name.value === 'requires');
  if (!requires) return {};
  const names = selections(String(argumentOf(requires, 'fields'))).flatMap(fieldNames);
  return Object.fromEntries(names.map((name) => [name, sent[name]]));
}

function fieldNames(selection: SelectionSetNode['selections'][number]): readonly string[] {
  if (selection.kind === Kind.FIELD) return [selection.name.value];
  return selection.kind === Kind.INLINE_FRAGMENT ? selection.selectionSet.selections.flatMap(fieldNames) : [];
}

function find(
  type: string,
  keys: readonly (readonly FieldNode[])[],
  reference: Readonly<Record<string, unknown>>,
  data: GraphData,
  whole: GraphQLSchema,
): Referenced | null {
  const usable = keys.filter((key) => covers(reference, key));
  if (usable.length === 0)
    throw new Error(`None of the keys by which ${type} is resolved here is in ${JSON.stringify(reference)}.`);
  const thing = data.entities.find(
    (each) => isOfType(whole, each.__typename, type) && usable.some((key) => agree(each, reference, key)),
  );
  return thing ? new Referenced(thing, reference) : null;
}

function isOfType(whole: GraphQLSchema, name: string, type: string): boolean {
  if (name === type) return true;
  const abstract = whole.getType(type);
  const object = whole.getType(name);
  return isInterfaceType(abstract) && isObjectType(object) && whole.isSubType(abstract, object);
}

function covers(reference: unknown, key: readonly FieldNode[]): boolean {
  return key.every(({ name, selectionSet }) => {
    if (!isRecord(reference) || reference[name.value] === undefined) return false;
    return !selectionSet || covers(reference[name.value], selectionSet.selections as readonly FieldNode[]);
  });
}

function agree(thing: unknown, reference: unknown, key: readonly FieldNode[]): boolean {
  return key.every(({ name, selectionSet }) => {
    if (!isRecord(thing) || !isRecord(reference)) return false;
    const [mine, theirs] = [thing[name.value], reference[name.value]];
    if (selectionSet) return agree(mine, theirs, selectionSet.selections as readonly FieldNode[]);
    return mine !== null && mine !== undefined && JSON.stringify(mine) === JSON.stringify(theirs);
  });
}

/** The fields of a field set, as of a key. */
export function selections(fields: string): readonly FieldNode[] {
  const [operation] = parse(`{ ${fields} }`).definitions;
  if (operation?.kind !== Kind.OPERATION_DEFINITION) throw new Error(`Not a field set: ${fields}`);
  return operation.selectionSet.selections as readonly FieldNode[];
}

export function argumentOf(directive: ConstDirectiveNode, name: string): unknown {
  const value = directive.arguments?.find((argument) => argument.name.value === name)?.value;
  return value && 'value' in value ? value.value : undefined;
}

function directivesOf(type: GraphQLObjectType | GraphQLInterfaceType, name: string): readonly ConstDirectiveNode[] {
  return [type.astNode, ...type.extensionASTNodes]
    .flatMap((node) => node?.directives ?? [])
    .filter((directive) => directive.name.value === name);
}

function isThing(value: unknown): value is Thing {
  return isRecord(value) && typeof value['__typename'] === 'string';
}

function thingOf(value: unknown): Thing {
  if (value instanceof Referenced) return value.thing;
  if (isThing(value)) return value;
  throw new Error(`Not an object of the graph: ${JSON.stringify(value)}`);
}
