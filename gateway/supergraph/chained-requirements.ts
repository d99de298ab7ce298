/**
 * `@requires` of a field that itself requires something, for a planner that loses the order of such a chain: coming from the subgraph
 * that has the first of them, it asks that subgraph for the field at once, before what it requires is there, and for what is
 * external to it. It does so where it joins a fetch with an earlier one from the same subgraph, and looks at names alone. So each
 * field in the middle of a chain is given a subgraph of its own, a double of the one that has it: the same types and keys, without
 * the root fields. What was external to the subgraph for such a field is not there any more. What is planned for a double goes
 * to the subgraph itself.
 */
import {
  Kind,
  parse,
  type ConstDirectiveNode,
  type DefinitionNode,
  type DocumentNode,
  type EnumTypeDefinitionNode,
  type FieldDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { type Composite, isComposite, namedType, textOf, withArgument, isExternal } from './join-directives.js';
import { rootTypeNames } from './root-types.js';

export interface ChainedRequirements {
  /** The supergraph with doubles; what came, if nothing needs one. */
  readonly document: DocumentNode;
  /** The subgraphs' names, by those of their doubles. */
  readonly doubles: ReadonlyMap<string, string>;
}

/** A field with `@requires` that another field requires, or one that shares its way to what it requires with one elsewhere. */
interface Link {
  readonly type: string;
  readonly field: string;
  /** Of the subgraph that has it, in `join__Graph`. */
  readonly graph: string;
  /** Of its double. */
  readonly double: string;
}

/** Gives doubles to the document of a supergraph. */
export function doubleChainedRequirements(document: DocumentNode): ChainedRequirements {
  const links = linksOf(document);
  const doubles = new Map<string, string>();
  if (links.length === 0) return { document, doubles };
  const roots = new Set(rootTypeNames(document).values());
  const used = usedExternally(document, links);
  const definitions = document.definitions.map((definition) => {
    if (definition.kind === Kind.ENUM_TYPE_DEFINITION && definition.name.value === 'join__Graph')
      return withDoubles(definition, links, doubles);
    return roots.has('name' in definition ? (definition.name?.value ?? '') : '')
      ? onType(definition, links)
      : onFields(onType(definition, links), links, used);
  });
  return { document: { ...document, definitions }, doubles };
}

function linksOf({ definitions }: DocumentNode): readonly Link[] {
  const types = new Map(definitions.filter(isComposite).map((type) => [type.name.value, type]));
  /** Every `Type.field` of a field set. */
  const fieldsOf = ({ selections }: SelectionSetNode, parent: Composite): readonly string[] =>
    selections.flatMap((selection) => {
      if (selection.kind === Kind.FRAGMENT_SPREAD) return [];
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const type = types.get(selection.typeCondition?.name.value ?? parent.name.value);
        return type ? fieldsOf(selection.selectionSet, type) : [];
      }
      const name = selection.name.value;
      const possible = [...types.values()].filter(
        (type) => type === parent || type.interfaces?.some((each) => each.name.value === parent.name.value),
      );
      const field = parent.fields?.find((each) => each.name.value === name);
      const inner = field && types.get(namedType(field.type));
      return [
        ...possible.map((type) => `${type.name.value}.${name}`),
        ...(selection.selectionSet && inner ? fieldsOf(selection.selectionSet, inner) : []),
      ];
    });
  const requiring = [...types.values()].flatMap((type) =>
    (type.fields ?? []).flatMap(({ name, directives = [] }) =>
      directives.flatMap((directive) => {
        const [set, graph] = [textOf(directive, 'requires'), textOf(directive, 'graph')];
        if (directive.name.value !== 'join__field' || set === undefined || graph === undefined) return [];
        const [operation] = parse(`{ ${set} }`, { noLocation: true }).definitions;
        const required = operation?.kind === Kind.OPERATION_DEFINITION ? fieldsOf(operation.selectionSet, type) : [];
        return [{ type: type.name.value, field: name.value, graph, required }];
      }),
    ),
  );
  const isOwn = (place: string, graph: string): boolean => {
    const [type = '', field] = place.split('.');
    const { directives = [] } = types.get(type)?.fields?.find(({ name }) => name.value === field) ?? {};
    const all = directives.filter(({ name }) => name.value === 'join__field');
    return all.length === 0 || all.some((each) => textOf(each, 'graph') === graph && !isExternal(each));
  };
  const isInChain = ({ type, field, graph, required }: (typeof requiring)[number]): boolean =>
    requiring.some(
      (other) =>
        other.required.includes(`${type}.${field}`) ||
        (other.graph !== graph &&
          other.required.some((place) => required.includes(place) && isOwn(place, other.graph))),
    );
  return requiring
    .filter(isInChain)
    .map(({ type, field, graph }, index) => ({ type, field, graph, double: `${graph}__REQUIRED_${index + 1}` }));
}

function withDoubles(
  graphs: EnumTypeDefinitionNode,
  links: readonly Link[],
  doubles: Map<string, string>,
): EnumTypeDefinitionNode {
  const { values = [] } = graphs;
  const more = links.flatMap(({ graph, double }) => {
    const value = values.find(({ name }) => name.value === graph);
    if (!value) return [];
    const directives = (value.directives ?? []).map((directive) => {
      const name = directive.name.value === 'join__graph' ? textOf(directive, 'name') : undefined;
      if (name === undefined) return directive;
      doubles.set(double.toLowerCase(), name);
      return withArgument(directive, 'name', { kind: Kind.STRING, value: double.toLowerCase() });
    });
    return [{ ...value, name: { ...value.name, value: double }, directives }];
  });
  return { ...graphs, values: [...values, ...more] };
}

/** What the type is in the subgraph, it is in its doubles. */
function onType(definition: DefinitionNode, links: readonly Link[]): DefinitionNode {
  if (!('directives' in definition) || !definition.directives) return definition;
  const directives = definition.directives as readonly ConstDirectiveNode[];
  const made = { ...definition, directives: inDoubles(directives, links) } as DefinitionNode;
  if (made.kind !== Kind.ENUM_TYPE_DEFINITION) return made;
  const values = (made.values ?? []).map((value) => ({
    ...value,
    directives: inDoubles(value.directives ?? [], links),
  }));
  return { ...made, values };
}

/** A field in the middle of a chain is in its double alone; fields with other requirements stay where they are. */
function onFields(
  definition: DefinitionNode,
  links: readonly Link[],
  used: ReadonlyMap<string, ReadonlySet<string>>,
): DefinitionNode {
  if (definition.kind === Kind.INPUT_OBJECT_TYPE_DEFINITION)
    return {
      ...definition,
      fields: (definition.fields ?? []).map((field) => ({
        ...field,
        directives: inDoubles(field.directives ?? [], links),
      })),
    };
  if (!isComposite(definition)) return definition;
  const fields = (definition.fields ?? []).map((field): FieldDefinitionNode => {
    const own = links.filter((link) => link.type === definition.name.value && link.field === field.name.value);
    const { directives = [] } = field;
    return {
      ...field,
      directives: directives.flatMap((directive) => {
        const graph = textOf(directive, 'graph') ?? '';
        // A double would resolve it also while the label is on: `@override` names the subgraph, not its doubles.
        if (textOf(directive, 'overrideLabel') !== undefined && textOf(directive, 'override') === undefined)
          return [directive];
        if (textOf(directive, 'requires') === undefined) {
          const isUnused = isExternal(directive) && used.get(graph)?.has(field.name.value) === false;
          return inDoubles([directive], links).slice(isUnused ? 1 : 0);
        }
        const link = own.find((each) => each.graph === graph);
        return [link ? withArgument(directive, 'graph', { kind: Kind.ENUM, value: link.double }) : directive];
      }),
    };
  });
  return { ...definition, fields };
}

/** By subgraph with doubles: every name in its keys, in what it provides, and in what fields require that stay in it. */
function usedExternally(
  { definitions }: DocumentNode,
  links: readonly Link[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const used = new Map(links.map(({ graph }) => [graph, new Set<string>()]));
  for (const type of definitions.filter(isComposite)) {
    const isMoved = (field: string, graph: string): boolean =>
      links.some((link) => link.type === type.name.value && link.field === field && link.graph === graph);
    const note = (directive: ConstDirectiveNode, field = ''): void => {
      const graph = textOf(directive, 'graph') ?? '';
      for (const argument of ['key', 'provides', 'requires']) {
        if (argument === 'requires' && isMoved(field, graph)) continue;
        for (const [name] of (textOf(directive, argument) ?? '').matchAll(/\w+/g)) used.get(graph)?.add(name);
      }
    };
    for (const directive of type.directives ?? []) note(directive);
    for (const { name, directives = [] } of type.fields ?? [])
      for (const directive of directives) note(directive, name.value);
  }
  return used;
}

/** The directives, and those of the subgraphs with doubles once more for each. */
function inDoubles(directives: readonly ConstDirectiveNode[], links: readonly Link[]): ConstDirectiveNode[] {
  return directives.flatMap((directive) => {
    const graph = directive.name.value.startsWith('join__') ? textOf(directive, 'graph') : undefined;
    const own = links.filter((link) => link.graph === graph);
    return [
      directive,
      ...own.map(({ double }) => withArgument(directive, 'graph', { kind: Kind.ENUM, value: double })),
    ];
  });
}
