/** What the answer to a subgraph's operation is made of: by which names, and what is a leaf. */
import {
  getNamedType,
  isListType,
  isNonNullType,
  Kind,
  parse,
  TypeNameMetaFieldDef,
  type FragmentDefinitionNode,
  type GraphQLNamedType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';

export interface AnswerField {
  /** Name in the answer. */
  readonly name: string;
  /** Of an object, whatever its type is; undefined of a leaf. */
  readonly fields: readonly AnswerField[] | undefined;
  /** Names that the object comes to have from other fetches, too: it is made with room for them. */
  readonly more?: readonly string[];
  /** Whether the schema says that it is a list. A leaf that is none may be any JSON. */
  readonly isList: boolean;
}

interface MutableField {
  name: string;
  fields: Map<string, MutableField> | undefined;
  isList: boolean;
}

/**
 * @param operation text of the operation for the subgraph
 * @param schema of the supergraph: what it does not know is taken for a leaf that may be any JSON
 */
export function answerShape(operation: string, schema: GraphQLSchema): readonly AnswerField[] {
  const { definitions } = parse(operation, { noLocation: true });
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);

  const collect = (
    { selections }: SelectionSetNode,
    type: GraphQLNamedType | undefined,
    found: Map<string, MutableField>,
  ): void => {
    for (const selection of selections) {
      if (selection.kind !== Kind.FIELD) {
        const part = selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
        const condition = part?.typeCondition?.name.value;
        if (part) collect(part.selectionSet, condition === undefined ? type : schema.getType(condition), found);
        continue;
      }
      const name = (selection.alias ?? selection.name).value;
      const declared = typeOf(type, selection.name.value);
      let field = found.get(name);
      if (!field) found.set(name, (field = { name, fields: undefined, isList: isList(declared) }));
      if (!selection.selectionSet) continue;
      field.fields ??= new Map();
      collect(selection.selectionSet, declared && getNamedType(declared), field.fields);
    }
  };

  const root = new Map<string, MutableField>();
  for (const definition of definitions)
    if (definition.kind === Kind.OPERATION_DEFINITION)
      collect(definition.selectionSet, schema.getRootType(definition.operation) ?? undefined, root);
  return finished(root);
}

function finished(fields: ReadonlyMap<string, MutableField>): readonly AnswerField[] {
  return [...fields.values()].map((field) => ({
    name: field.name,
    fields: field.fields && finished(field.fields),
    isList: field.isList,
  }));
}

function typeOf(parent: GraphQLNamedType | undefined, field: string): GraphQLOutputType | undefined {
  if (field === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef.type;
  return parent && 'getFields' in parent ? (parent.getFields()[field]?.type as GraphQLOutputType) : undefined;
}

function isList(type: GraphQLOutputType | undefined): boolean {
  return type !== undefined && isListType(isNonNullType(type) ? type.ofType : type);
}
