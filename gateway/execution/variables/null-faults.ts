/**
 * Nulls where none may be. A variable that may be null is valid where a null is not, if one of the two has a default (GraphQL
 * specification, 5.8.5); that it is null shows with its value alone (6.4.1). What @skip and @include leave out is not executed,
 * so nothing is wrong with it.
 */
import {
  GraphQLError,
  isNonNullType,
  Kind,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type ASTNode,
  type DirectiveNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLInputType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type VariableNode,
} from 'graphql';

type Variables = Readonly<Record<string, unknown>>;

/** A variable in the place of a value that must not be null. */
interface Position {
  readonly variable: VariableNode;
  readonly type: GraphQLInputType;
  /** Undefined: it is inside of the argument's value. */
  readonly argument: string | undefined;
}

/** @returns what is wrong with the coerced variables. */
export type NullFault = (variables: Variables) => GraphQLError | undefined;

/** For a valid operation. @returns undefined if no variable can be null where that is wrong. */
export function compileNullFault(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): NullFault | undefined {
  const nullable = new Set(
    (operation.variableDefinitions ?? []).flatMap(({ variable, type }) =>
      type.kind === Kind.NON_NULL_TYPE ? [] : [variable.name.value],
    ),
  );
  if (nullable.size === 0) return undefined;
  const names = new Set(
    positionsIn(schema, document, operation, () => false)
      .map(({ variable }) => variable.name.value)
      .filter((name) => nullable.has(name)),
  );
  if (names.size === 0) return undefined;
  return (variables) => {
    const isNull = (name: string): boolean => variables[name] === null;
    if (![...names].some(isNull)) return undefined;
    const positions = positionsIn(schema, document, operation, (directives) => isLeftOut(directives, variables));
    const wrong = positions.find(({ variable }) => isNull(variable.name.value));
    return wrong && faultOf(wrong);
  };
}

/** In the words of graphql-js. */
function faultOf({ variable, type, argument }: Position): GraphQLError {
  const message =
    argument === undefined
      ? `Variable "$${variable.name.value}" got invalid value null; Expected non-nullable type "${String(type)}" not to be null.`
      : `Argument "${argument}" of non-null type "${String(type)}" must not be null.`;
  return new GraphQLError(message, { nodes: variable });
}

/** Takes each fragment once: it costs no more than the document is long. */
function positionsIn(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  isWithout: (directives: readonly DirectiveNode[]) => boolean,
): readonly Position[] {
  const fragments = new Map(
    document.definitions
      .filter((definition): definition is FragmentDefinitionNode => definition.kind === Kind.FRAGMENT_DEFINITION)
      .map((fragment) => [fragment.name.value, fragment]),
  );
  const positions: Position[] = [];
  const open = new Set<OperationDefinitionNode | FragmentDefinitionNode>([operation]);
  const typeInfo = new TypeInfo(schema);
  const skip = ({ directives = [] }: { readonly directives?: readonly DirectiveNode[] | undefined }) =>
    isWithout(directives) ? false : undefined;
  const visitor = visitWithTypeInfo(typeInfo, {
    VariableDefinition: () => false,
    Field: skip,
    InlineFragment: skip,
    FragmentSpread(node) {
      if (isWithout(node.directives ?? [])) return false;
      const fragment = fragments.get(node.name.value);
      if (fragment) open.add(fragment);
      return undefined;
    },
    Variable(variable, _key, parent) {
      const type = typeInfo.getInputType();
      if (!isNonNullType(type)) return;
      const above = parent as ASTNode | undefined;
      const argument = above && 'kind' in above && above.kind === Kind.ARGUMENT ? above.name.value : undefined;
      positions.push({ variable, type, argument });
    },
  });
  for (const definition of open) visit(definition, visitor);
  return positions;
}

/** As execution decides it: @skip first. A condition that is null is wrong itself, and leaves nothing out. */
function isLeftOut(directives: readonly DirectiveNode[], variables: Variables): boolean {
  const condition = (directive: string): unknown => {
    const given = directives.find(({ name }) => name.value === directive)?.arguments?.[0]?.value;
    if (given?.kind === Kind.VARIABLE) return variables[given.name.value];
    return given?.kind === Kind.BOOLEAN ? given.value : undefined;
  };
  const skipped = condition('skip');
  return skipped === true || (skipped !== null && condition('include') === false);
}
