/**
 * An operation as what it costs: made once for each operation, with what depends on variables left open. Selections of one name
 * are merged as execution merges them; of fragments on different objects the dearest counts, since an object is of one type.
 */
import {
  getNamedType,
  isAbstractType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  valueFromASTUntyped,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLOutputType,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import type { CostModel, ListSize } from './cost-model.js';

export type Variables = Readonly<Record<string, unknown>>;

export interface CostNode {
  /** Name in the answer. */
  readonly key: string;
  /** Of each object or leaf. */
  readonly weight: number;
  readonly argumentWeight: (variables: Variables) => number;
  /** Length of the list; undefined if it is none. */
  readonly size: ((variables: Variables) => number) | undefined;
  readonly children: CostSet;
}

export interface CostSet {
  readonly always: readonly CostNode[];
  /** One of them, by the type of the object. */
  readonly either: readonly (readonly CostNode[])[];
}

/** How long the lists inside of a field are, as the field says. */
interface Sized {
  readonly fields: readonly string[];
  readonly size: (variables: Variables) => number;
}

const nothing: CostSet = { always: [], either: [] };

export function costTree(model: CostModel, document: DocumentNode, operation: OperationDefinitionNode): CostSet {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const root = model.schema.getRootType(operation.operation);
  if (!root) return nothing;

  const setOf = (type: GraphQLCompositeType, sets: readonly SelectionSetNode[], sized: Sized | undefined): CostSet => {
    const byType = collect(model, fragments, type, sets);
    const always: CostNode[] = [];
    const either: CostNode[][] = [];
    for (const [of, fields] of byType) {
      const nodes = [...fields].flatMap(([key, same]) => nodeOf(of, key, same, sized) ?? []);
      if (isAbstractType(type) && isObjectType(of)) either.push(nodes);
      else always.push(...nodes);
    }
    return { always, either };
  };

  const nodeOf = (
    parent: GraphQLCompositeType,
    key: string,
    same: readonly FieldNode[],
    sized: Sized | undefined,
  ): CostNode | undefined => {
    const [node] = same;
    const field = node && 'getFields' in parent ? parent.getFields()[node.name.value] : undefined;
    // __typename, and introspection, which no subgraph hears of.
    if (!node || !field) return undefined;
    const listSize = model.sizeOf(field);
    const said = listSize && sizeBy(listSize, field, node, model.listSize);
    const type = getNamedType(field.type);
    const below = same.flatMap(({ selectionSet }) => (selectionSet ? [selectionSet] : []));
    const isSized = sized?.fields.includes(node.name.value) === true;
    return {
      key,
      weight: model.weightOf(field),
      argumentWeight: argumentWeight(model, field, node),
      size: isList(field.type)
        ? isSized
          ? sized.size
          : said && !listSize.sizedFields
            ? said
            : () => model.listSize
        : undefined,
      children:
        below.length > 0 && 'name' in type
          ? setOf(
              type as GraphQLCompositeType,
              below,
              said && listSize.sizedFields ? { fields: listSize.sizedFields, size: said } : undefined,
            )
          : nothing,
    };
  };

  return setOf(root, [operation.selectionSet], undefined);
}

/** Fields by the type on which they are asked for; those of a fragment on the type itself are its own. */
function collect(
  { schema }: CostModel,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  type: GraphQLCompositeType,
  sets: readonly SelectionSetNode[],
): Map<GraphQLCompositeType, Map<string, FieldNode[]>> {
  const byType = new Map<GraphQLCompositeType, Map<string, FieldNode[]>>();
  const visit = (of: GraphQLCompositeType, { selections }: SelectionSetNode): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        const fields = byType.get(of) ?? new Map<string, FieldNode[]>();
        byType.set(of, fields);
        const key = (selection.alias ?? selection.name).value;
        const known = fields.get(key);
        if (known) known.push(selection);
        else fields.set(key, [selection]);
        continue;
      }
      const fragment = selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
      if (!fragment) continue;
      const condition = fragment.typeCondition && schema.getType(fragment.typeCondition.name.value);
      // A condition that is wider than what the object is known to be says nothing new.
      const narrower = isObjectType(condition) || (isInterfaceType(condition) && !isObjectType(of)) ? condition : of;
      visit(isObjectType(of) ? of : narrower, fragment.selectionSet);
    }
  };
  for (const set of sets) visit(type, set);
  return byType;
}

function sizeBy(
  { slicing, assumed }: ListSize,
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  fallback: number,
): (variables: Variables) => number {
  const values = slicing.map(([name = '', ...path]) => ({
    path,
    value: node.arguments?.find((argument) => argument.name.value === name)?.value,
    byDefault: field.args.find((argument) => argument.name === name)?.defaultValue,
  }));
  return (variables) => {
    let size: number | undefined;
    for (const { path, value, byDefault } of values) {
      let given: unknown = value === undefined ? byDefault : valueOf(value, variables);
      for (const step of path) given = (given as Record<string, unknown> | null | undefined)?.[step];
      if (typeof given === 'number') size = Math.max(size ?? 0, given);
    }
    return size ?? assumed ?? fallback;
  };
}

function argumentWeight(
  model: CostModel,
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
): (variables: Variables) => number {
  const given = (node.arguments ?? []).flatMap(({ name, value }) => {
    const argument = field.args.find((one) => one.name === name.value);
    return argument ? [{ argument, value }] : [];
  });
  if (given.length === 0) return () => 0;
  return (variables) =>
    given.reduce((sum, { argument, value }) => sum + model.weightOfArgument(argument, valueOf(value, variables)), 0);
}

function valueOf(value: ValueNode, variables: Variables): unknown {
  return value.kind === Kind.VARIABLE ? variables[value.name.value] : valueFromASTUntyped(value, variables);
}

function isList(type: GraphQLOutputType): boolean {
  return isNonNullType(type) ? isList(type.ofType) : isListType(type);
}
