import {
  GraphQLError,
  Kind,
  type ASTVisitor,
  type DocumentNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';

/** A validation rule: no field deeper than `max` levels, fragments counted where they are spread. Introspection is exempt. */
export function depthLimit(max: number): (context: ValidationContext) => ASTVisitor {
  return (context) => {
    const depthOf = createDepthOf(context.getDocument());
    return {
      OperationDefinition(operation) {
        if (depthOf(operation.selectionSet) > max)
          context.reportError(
            new GraphQLError(`The operation is nested more than ${max} levels deep. Ask for less at once.`, {
              nodes: operation,
            }),
          );
      },
    };
  };
}

/**
 * Depth of the deepest field. Each fragment is measured once: fragments that spread each other twice would otherwise cost
 * two to the power of their number. One that spreads itself counts as 0 inside itself; another rule refuses it.
 */
function createDepthOf(document: DocumentNode): (selections: SelectionSetNode) => number {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const measured = new Map<string, number>();

  const depthOfFragment = (name: string): number => {
    const known = measured.get(name);
    if (known !== undefined) return known;
    measured.set(name, 0);
    const fragment = fragments.get(name);
    const depth = fragment ? depthOf(fragment.selectionSet) : 0;
    measured.set(name, depth);
    return depth;
  };
  const depthOf = ({ selections }: SelectionSetNode): number => {
    let deepest = 0;
    for (const selection of selections) {
      if (selection.kind === Kind.FRAGMENT_SPREAD) deepest = Math.max(deepest, depthOfFragment(selection.name.value));
      else if (selection.kind === Kind.INLINE_FRAGMENT) deepest = Math.max(deepest, depthOf(selection.selectionSet));
      else if (!selection.name.value.startsWith('__'))
        deepest = Math.max(deepest, 1 + (selection.selectionSet ? depthOf(selection.selectionSet) : 0));
    }
    return deepest;
  };
  return depthOf;
}
