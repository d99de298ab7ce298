/**
 * What a subgraph is sent of entities, with a key for each of them. Of an interface the planner says in one part what finds an
 * entity, by its type, and in another what a field requires, by the interface; an entity of which only the second part holds would be
 * sent without a key, and the subgraph would refuse it, or all. So what is required goes into the parts that have a key.
 */
import type { QueryPlanSelectionNode } from '@apollo/query-planner';
import type { WhatFieldsNeed } from './what-fields-need.js';

export function wholeRepresentations(
  requires: readonly QueryPlanSelectionNode[],
  subgraph: string,
  { hasKey, isOfType }: WhatFieldsNeed,
): readonly QueryPlanSelectionNode[] {
  if (requires.length < 2) return requires;
  const typeOf = (part: QueryPlanSelectionNode): string =>
    part.kind === 'InlineFragment' ? (part.typeCondition ?? '') : '';
  const isFound = (part: QueryPlanSelectionNode): boolean =>
    part.kind === 'InlineFragment' && hasKey(typeOf(part), subgraph, new Set(pathsIn(part.selections)));
  const found = requires.filter(isFound);
  const rest = requires.filter((part) => !isFound(part));
  if (found.length === 0 || rest.length === 0) return requires;
  return found.map((part) => ({
    ...part,
    selections: [
      ...(part.selections ?? []),
      ...rest.flatMap((other): readonly QueryPlanSelectionNode[] => {
        if (isOfType(typeOf(part), typeOf(other))) return (other.selections ?? []).filter(isNoTypename);
        return isOfType(typeOf(other), typeOf(part)) ? [other] : [];
      }),
    ],
  }));
}

function isNoTypename(selection: QueryPlanSelectionNode): boolean {
  return selection.kind !== 'Field' || selection.name !== '__typename';
}

function pathsIn(selections: readonly QueryPlanSelectionNode[] = [], above = ''): readonly string[] {
  return selections.flatMap((selection) => {
    if (selection.kind !== 'Field') return pathsIn(selection.selections, above);
    const path = above === '' ? selection.name : `${above}.${selection.name}`;
    return selection.selections ? pathsIn(selection.selections, path) : [path];
  });
}
