/**
 * What a subgraph must be sent of an entity: keys, so that it finds it, and what its fields require. As paths through what is sent,
 * like `motor.torque`; on which types a path goes is left aside, for one that is sent in vain does no harm.
 */
import { Kind, parse, type ConstDirectiveNode, type DocumentNode, type SelectionSetNode } from 'graphql';
import { isComposite, textOf } from './join-directives.js';

export interface WhatFieldsNeed {
  /** What the field of the type requires, at the subgraph with this name. */
  required(type: string, field: string, subgraph: string): readonly string[];
  /** Everything that is in a key of the type there. */
  keys(type: string, subgraph: string): ReadonlySet<string>;
  /** Whether the paths are enough to find one of the type there: by a key of it, or of an interface of it. */
  readonly hasKey: (type: string, subgraph: string, paths: ReadonlySet<string>) => boolean;
  /** First names of the paths in keys of the type there, and of its interfaces. */
  readonly keyNames: (type: string, subgraph: string) => readonly string[];
  /** Whether the first is the second, or implements it. */
  readonly isOfType: (type: string, other: string) => boolean;
}

const nothing: readonly string[] = [];

/** @param document of a supergraph. */
export function whatFieldsNeed(document: DocumentNode): WhatFieldsNeed {
  const required = new Map<string, readonly string[]>();
  const keys = new Map<string, Set<string>>();
  const keyPaths = new Map<string, (readonly string[])[]>();
  const interfaces = new Map<string, readonly string[]>();
  const subgraphs = subgraphNames(document);
  const nameOf = (directive: ConstDirectiveNode): string => subgraphs.get(textOf(directive, 'graph') ?? '') ?? '';
  for (const definition of document.definitions) {
    if (!isComposite(definition)) continue;
    const type = definition.name.value;
    interfaces.set(
      type,
      (definition.interfaces ?? []).map(({ name }) => name.value),
    );
    for (const directive of definition.directives ?? []) {
      const set = directive.name.value === 'join__type' ? textOf(directive, 'key') : undefined;
      if (set === undefined) continue;
      const place = `${type}@${nameOf(directive)}`;
      const paths = pathsOf(set);
      keys.set(place, new Set([...(keys.get(place) ?? []), ...paths]));
      keyPaths.set(place, [...(keyPaths.get(place) ?? []), paths]);
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
    keyNames: (type, subgraph) =>
      [type, ...(interfaces.get(type) ?? [])]
        .flatMap((each) => keyPaths.get(`${each}@${subgraph}`)?.flat() ?? [])
        .map((path) => path.split('.')[0] ?? path),
    hasKey: (type, subgraph, paths) =>
      [type, ...(interfaces.get(type) ?? [])].some((each) =>
        keyPaths.get(`${each}@${subgraph}`)?.some((key) => key.every((path) => paths.has(path))),
      ),
    isOfType: (type, other) => type === other || interfaces.get(type)?.includes(other) === true,
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
