/**
 * What a subgraph must be sent of an entity: keys, so that it finds it, and what its fields require. As paths through what is sent,
 * like `motor.torque`; on which types a path goes is left aside, for one that is sent in vain does no harm.
 */
import { Kind, parse, type ConstDirectiveNode, type DocumentNode, type SelectionSetNode } from 'graphql';

export interface WhatFieldsNeed {
  /** What the field of the type requires, at the subgraph with this name. */
  required(type: string, field: string, subgraph: string): readonly string[];
  /** Everything that is in a key of the type there. */
  keys(type: string, subgraph: string): ReadonlySet<string>;
}

const nothing: readonly string[] = [];

/** @param document of a supergraph. */
export function whatFieldsNeed(document: DocumentNode): WhatFieldsNeed {
  const required = new Map<string, readonly string[]>();
  const keys = new Map<string, Set<string>>();
  const subgraphs = subgraphNames(document);
  const nameOf = (directive: ConstDirectiveNode): string => subgraphs.get(textOf(directive, 'graph') ?? '') ?? '';
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION && definition.kind !== Kind.INTERFACE_TYPE_DEFINITION) continue;
    const type = definition.name.value;
    for (const directive of definition.directives ?? []) {
      const set = directive.name.value === 'join__type' ? textOf(directive, 'key') : undefined;
      if (set === undefined) continue;
      const place = `${type}@${nameOf(directive)}`;
      keys.set(place, new Set([...(keys.get(place) ?? []), ...pathsOf(set)]));
    }
    for (const { name, directives = [] } of definition.fields ?? []) {
      for (const directive of directives) {
        const set = directive.name.value === 'join__field' ? textOf(directive, 'requires') : undefined;
        if (set !== undefined) required.set(`${type}.${name.value}@${nameOf(directive)}`, pathsOf(set));
      }
    }
  }
  return {
    required: (type, field, subgraph) => required.get(`${type}.${field}@${subgraph}`) ?? nothing,
    keys: (type, subgraph) => keys.get(`${type}@${subgraph}`) ?? new Set(),
  };
}

function pathsOf(fieldSet: string): readonly string[] {
  const [operation] = parse(`{ ${fieldSet} }`, { noLocation: true }).definitions;
  if (operation?.kind !== Kind.OPERATION_DEFINITION) return nothing;
  const collect = (set: SelectionSetNode, above: string): string[] =>
    set.selections.flatMap((selection) => {
      if (selection.kind === Kind.FRAGMENT_SPREAD) return [];
      if (selection.kind === Kind.INLINE_FRAGMENT) return collect(selection.selectionSet, above);
      const path = above === '' ? selection.name.value : `${above}.${selection.name.value}`;
      return selection.selectionSet ? collect(selection.selectionSet, path) : [path];
    });
  return collect(operation.selectionSet, '');
}

/** The subgraphs' own names, by those in `join__Graph`. */
function subgraphNames(document: DocumentNode): ReadonlyMap<string, string> {
  const graphs = document.definitions.find(
    (definition) => definition.kind === Kind.ENUM_TYPE_DEFINITION && definition.name.value === 'join__Graph',
  );
  if (graphs?.kind !== Kind.ENUM_TYPE_DEFINITION) return new Map();
  return new Map(
    (graphs.values ?? []).map(({ name, directives }) => {
      const graph = directives?.find((directive) => directive.name.value === 'join__graph');
      return [name.value, (graph && textOf(graph, 'name')) ?? name.value];
    }),
  );
}

function textOf(directive: ConstDirectiveNode, argument: string): string | undefined {
  const value = directive.arguments?.find(({ name }) => name.value === argument)?.value;
  return value?.kind === Kind.STRING || value?.kind === Kind.ENUM ? value.value : undefined;
}
