/**
 * What the answer to an operation looks like: the fields of each object by its type, in the order and under the names that the
 * client asked for, as the GraphQL specification collects them (6.3.2). Depends on the operation and on the variables of its
 * @skip and @include.
 */
import {
  isAbstractType,
  isUnionType,
  Kind,
  SchemaMetaFieldDef,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  type DirectiveNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type GraphQLUnionType,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Denial, Restriction } from '../restriction.js';

/** The type of an object; an abstract one where the subgraph doesn't know which of its types it is. */
export type ShapeType = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType;

export interface FieldShape {
  /** Name in the answer. */
  readonly key: string;
  /** Name in the data, where the plan has given it another one. */
  readonly dataKey: string;
  readonly name: string;
  readonly parent: ShapeType;
  readonly type: GraphQLOutputType;
  readonly kind: 'data' | 'typename' | 'introspection';
  readonly nodes: readonly FieldNode[];
  /** Why it is not in the answer: the caller may not see it, however it asks for it. */
  readonly denial: Denial | undefined;
}

export interface ResponseShape {
  readonly schema: GraphQLSchema;
  readonly root: readonly FieldShape[];
  /** The fields of what is in `field`, if it is of this type. */
  fieldsOf(field: FieldShape, type: ShapeType): readonly FieldShape[];
}

export interface ShapedOperation {
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  readonly denials?: Restriction['denials'] | undefined;
  /** Names in the data by those in the answer, where the two differ. */
  readonly dataNames: ReadonlyMap<string, string>;
}

export function fragmentsOf({ definitions }: DocumentNode): ShapedOperation['fragments'] {
  return new Map(
    definitions
      .filter((definition): definition is FragmentDefinitionNode => definition.kind === Kind.FRAGMENT_DEFINITION)
      .map((fragment) => [fragment.name.value, fragment]),
  );
}

export function responseShape(
  { schema, operation, fragments, denials, dataNames }: ShapedOperation,
  variables: Readonly<Record<string, unknown>>,
): ResponseShape {
  const rootType = schema.getRootType(operation.operation);
  if (!rootType) throw new Error(`The schema has no ${operation.operation}.`);

  const collect = (type: ShapeType, sets: readonly SelectionSetNode[]): FieldShape[] => {
    const found = new Map<string, FieldNode[]>();
    const visited = new Set<string>();
    const visit = (set: SelectionSetNode): void => {
      for (const selection of set.selections) {
        if (!isIncluded(selection.directives ?? [], variables)) continue;
        if (selection.kind === Kind.FIELD) {
          const key = (selection.alias ?? selection.name).value;
          const nodes = found.get(key);
          if (nodes) nodes.push(selection);
          else found.set(key, [selection]);
          continue;
        }
        const fragment = selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
        if (!fragment) continue;
        if (selection.kind === Kind.FRAGMENT_SPREAD) {
          if (visited.has(selection.name.value)) continue;
          visited.add(selection.name.value);
        }
        const condition = fragment.typeCondition?.name.value;
        if (condition === undefined || applies(schema, condition, type)) visit(fragment.selectionSet);
      }
    };
    for (const set of sets) visit(set);
    return [...found].map(([key, nodes]) =>
      fieldShape(
        [key, dataNames.get(key) ?? key],
        type,
        nodes,
        type === rootType && schema.getQueryType() === type,
        denials,
      ),
    );
  };

  const known = new Map<FieldShape, Map<ShapeType, readonly FieldShape[]>>();
  return {
    schema,
    root: collect(rootType, [operation.selectionSet]),
    fieldsOf(field, type) {
      const byType = known.get(field) ?? new Map<ShapeType, readonly FieldShape[]>();
      known.set(field, byType);
      const fields =
        byType.get(type) ??
        collect(
          type,
          field.nodes.flatMap(({ selectionSet }) => (selectionSet ? [selectionSet] : [])),
        );
      byType.set(type, fields);
      return fields;
    },
  };
}

/**
 * Whether what is asked for in the field can't be known without the type of the object that is
 * there.
 */
export function dependsOnType(shape: ResponseShape, field: FieldShape, declared: ShapeType): boolean {
  if (!isAbstractType(declared)) return false;
  if (isUnionType(declared)) return true;
  const keys = keysOf(shape.fieldsOf(field, declared));
  return shape.schema.getPossibleTypes(declared).some((type) => keysOf(shape.fieldsOf(field, type)) !== keys);
}

function keysOf(fields: readonly FieldShape[]): string {
  return fields.map(({ key }) => key).join(' ');
}

function fieldShape(
  [key, dataKey]: readonly [string, string],
  parent: ShapeType,
  nodes: readonly FieldNode[],
  isQueryRoot: boolean,
  denials: Restriction['denials'] | undefined,
): FieldShape {
  const [first] = nodes;
  const name = first?.name.value ?? '';
  const isDenied = denials !== undefined && nodes.every((node) => denials.has(node));
  const denial = isDenied && first ? denials.get(first) : undefined;
  const shape = { key, dataKey, name, parent, nodes, denial };
  if (name === TypeNameMetaFieldDef.name) return { ...shape, type: TypeNameMetaFieldDef.type, kind: 'typename' };
  if (isQueryRoot && name === SchemaMetaFieldDef.name)
    return { ...shape, type: SchemaMetaFieldDef.type, kind: 'introspection' };
  if (isQueryRoot && name === TypeMetaFieldDef.name)
    return { ...shape, type: TypeMetaFieldDef.type, kind: 'introspection' };
  const field = 'getFields' in parent ? parent.getFields()[name] : undefined;
  if (!field) throw new Error(`${parent.name} has no field "${name}": the operation was not validated.`);
  return { ...shape, type: field.type, kind: 'data' };
}

function applies(schema: GraphQLSchema, condition: string, type: ShapeType): boolean {
  if (condition === type.name) return true;
  const wanted = schema.getType(condition);
  return isAbstractType(wanted) && 'getInterfaces' in type && schema.isSubType(wanted, type);
}

function isIncluded(directives: readonly DirectiveNode[], variables: Readonly<Record<string, unknown>>): boolean {
  return directives.every(({ name, arguments: given }) => {
    if (name.value !== 'skip' && name.value !== 'include') return true;
    const value = given?.find((argument) => argument.name.value === 'if')?.value;
    const holds =
      value?.kind === Kind.VARIABLE
        ? variables[value.name.value] === true
        : value?.kind === Kind.BOOLEAN && value.value;
    return holds === (name.value === 'include');
  });
}
