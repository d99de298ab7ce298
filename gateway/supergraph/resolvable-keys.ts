/**
 * Keys by which a subgraph can resolve an entity, before those by which it can't. The planner comes back to a subgraph for a
 * field with `@requires` by the first key of the type there, and does not look whether it is `resolvable: false`.
 */
import { Kind, type ConstDirectiveNode, type DocumentNode } from 'graphql';

export function resolvableKeysFirst(document: DocumentNode): DocumentNode {
  return {
    ...document,
    definitions: document.definitions.map((definition) => {
      if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION && definition.kind !== Kind.INTERFACE_TYPE_DEFINITION)
        return definition;
      const { directives = [] } = definition;
      return {
        ...definition,
        directives: [...directives.filter(isUsable), ...directives.filter((key) => !isUsable(key))],
      };
    }),
  };
}

function isUsable({ arguments: given = [] }: ConstDirectiveNode): boolean {
  const resolvable = given.find(({ name }) => name.value === 'resolvable')?.value;
  return resolvable?.kind !== Kind.BOOLEAN || resolvable.value;
}
