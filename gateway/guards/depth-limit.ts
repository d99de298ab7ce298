import {
  GraphQLError,
  type ASTVisitor,
  type DocumentNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
  type ValidationContext,
  Kind,
} from 'graphql';

/** A validation rule: no field deeper than `max` levels, fragments counted where they are spread. Introspection is exempt. */
export function depthLimit(max: number): (context: ValidationContext) => ASTVisitor {
  return (context) => ({
    OperationDefinition(operation) {
      const fragments = fragmentsOf(context.getDocument());
      const depth = depthOf(operation.selectionSet, fragments, new Set(), max + 1);
      if (depth > max)
        context.reportError(
          new GraphQLError(`The operation is nested more than ${max} levels deep. Ask for less at once.`, {
            nodes: operation,
          }),
        );
    },
  });
}

function fragmentsOf(document: DocumentNode): ReadonlyMap<string, FragmentDefinitionNode> {
  return new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );
}

/** Depth of the deepest field, not counted past `enough`. A fragment that spreads itself counts once; another rule refuses it. */
function depthOf(
  selections: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  open: ReadonlySet<string>,
  enough: number,
): number {
  if (enough <= 0) return 1;
  let deepest = 0;
  for (const selection of selections.selections) {
    let depth = 0;
    if (selection.kind === Kind.FIELD) {
      if (selection.name.value.startsWith('__')) continue;
      depth = 1 + (selection.selectionSet ? depthOf(selection.selectionSet, fragments, open, enough - 1) : 0);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      depth = depthOf(selection.selectionSet, fragments, open, enough);
    } else {
      const name = selection.name.value;
      const fragment = fragments.get(name);
      if (fragment && !open.has(name))
        depth = depthOf(fragment.selectionSet, fragments, new Set([...open, name]), enough);
    }
    deepest = Math.max(deepest, depth);
    if (deepest >= enough) return deepest;
  }
  return deepest;
}
