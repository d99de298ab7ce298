/**
 * Fetches of entities that ask for too much at once, made into several. A subgraph is sent an entity with all that the fields of
 * a fetch require, and with one value for each name; so fields go apart
 * - that require one field with different arguments;
 * - that are there on other conditions (@skip, @include): what only one of them requires is not fetched when that one is left out,
 *   and the entity would not be sent for the other, either.
 */
import type { FetchNode, QueryPlanSelectionNode } from '@apollo/query-planner';
import {
  Kind,
  parse,
  print,
  stripIgnoredCharacters,
  visit,
  type DirectiveNode,
  type DocumentNode,
  type OperationDefinitionNode,
  type SelectionNode,
} from 'graphql';
import type { StandIn } from './required-arguments.js';
import type { WhatFieldsNeed } from './what-fields-need.js';

export interface SplitOptions {
  readonly needs: WhatFieldsNeed;
  readonly standIns: ReadonlyMap<string, StandIn>;
}

interface Group {
  /** On which the fields are there, as text. */
  readonly condition: string;
  readonly needed: Set<string>;
}

type IsWanted = (type: string, field: string, condition: string) => boolean;

/** @returns the fetch itself if nothing has to go apart. */
export function splitFetch(fetch: FetchNode, { needs, standIns }: SplitOptions): readonly FetchNode[] {
  const document = parse(fetch.operation, { noLocation: true });
  const groups: Group[] = [];
  const all = new Set<string>();
  const types = new Set<string>();
  const places = new Map<string, number>();
  onlyFields(document, (type, field, at) => {
    const needed = needs.required(type, field, fetch.serviceName);
    // Without needs it may be asked for whatever comes of the others, and of its own conditions.
    const condition = needed.length === 0 ? '' : at;
    const isFree = (group: Group): boolean =>
      group.condition === condition && !conflict([...group.needed, ...needed], standIns);
    const place = `${type}.${field} ${at}`;
    types.add(type);
    for (const path of needed) all.add(path);
    if (places.has(place)) return true;
    let index = groups.findIndex(isFree);
    if (index === -1) index = groups.push({ condition, needed: new Set() }) - 1;
    for (const path of needed) groups[index]?.needed.add(path);
    places.set(place, index);
    return true;
  });
  if (groups.length < 2) return [fetch];
  const keys = new Set([...types].flatMap((type) => [...needs.keys(type, fetch.serviceName)]));
  return groups.map(({ needed }, index) => ({
    ...withOperation(
      fetch,
      onlyFields(document, (type, field, at) => places.get(`${type}.${field} ${at}`) === index),
    ),
    requires: only(fetch.requires ?? [], (path) => !all.has(path) || needed.has(path) || keys.has(path)),
  }));
}

/** Whether two of the paths end in stand-ins for one field with different arguments. */
function conflict(paths: readonly string[], standIns: ReadonlyMap<string, StandIn>): boolean {
  const names = new Set(paths.flatMap((path) => path.split('.')).filter((name) => standIns.has(name)));
  const fields = [...names].map((name) => standIns.get(name)?.field);
  return new Set(fields).size < fields.length;
}

/** The document of an entity fetch with those fields of the entities alone that are wanted, and the variables that they use. */
function onlyFields(document: DocumentNode, isWanted: IsWanted): DocumentNode {
  const fragments = new Map(
    document.definitions.flatMap((each) => (each.kind === Kind.FRAGMENT_DEFINITION ? [[each.name.value, each]] : [])),
  );
  const keep = (selections: readonly SelectionNode[], type: string, condition: string): SelectionNode[] =>
    selections.flatMap((selection): SelectionNode[] => {
      const here = condition + conditionOf(selection.directives);
      if (selection.kind === Kind.FIELD) {
        if (selection.name.value === '__typename') return [selection];
        return isWanted(type, selection.name.value, here) ? [selection] : [];
      }
      const inner = selection.kind === Kind.FRAGMENT_SPREAD ? fragments.get(selection.name.value) : selection;
      if (!inner) return [];
      const on = inner.typeCondition ?? undefined;
      const kept = keep(inner.selectionSet.selections, on?.name.value ?? type, here);
      if (kept.length === 0) return [];
      return [
        {
          kind: Kind.INLINE_FRAGMENT,
          ...(on ? { typeCondition: on } : {}),
          directives: selection.directives ?? [],
          selectionSet: { kind: Kind.SELECTION_SET, selections: kept },
        },
      ];
    });
  const definitions = document.definitions.flatMap((definition) => {
    if (definition.kind !== Kind.OPERATION_DEFINITION) return [];
    const selections = definition.selectionSet.selections.map((root) =>
      root.kind === Kind.FIELD && root.selectionSet
        ? { ...root, selectionSet: { ...root.selectionSet, selections: keep(root.selectionSet.selections, '', '') } }
        : root,
    );
    return [onlyUsedVariables({ ...definition, selectionSet: { ...definition.selectionSet, selections } })];
  });
  return { ...document, definitions };
}

function conditionOf(directives: readonly DirectiveNode[] = []): string {
  return directives
    .filter(({ name }) => name.value === 'skip' || name.value === 'include')
    .map(print)
    .sort()
    .join(' ');
}

function onlyUsedVariables(operation: OperationDefinitionNode): OperationDefinitionNode {
  const used = new Set<string>();
  visit(operation, { VariableDefinition: () => false, Variable: ({ name }) => void used.add(name.value) });
  const { variableDefinitions = [] } = operation;
  return {
    ...operation,
    variableDefinitions: variableDefinitions.filter(({ variable }) => used.has(variable.name.value)),
  };
}

/** What is sent, with the paths alone that are wanted. */
function only(
  selections: readonly QueryPlanSelectionNode[],
  isWanted: (path: string) => boolean,
  above = '',
): QueryPlanSelectionNode[] {
  return selections.flatMap((selection) => {
    const path = selection.kind === 'Field' ? `${above === '' ? '' : `${above}.`}${selection.name}` : above;
    if (!selection.selections) return isWanted(path) ? [selection] : [];
    const kept = only(selection.selections, isWanted, path);
    return kept.length === 0 ? [] : [{ ...selection, selections: kept }];
  });
}

/** The fetch with another document. */
export function withOperation(fetch: FetchNode, document: DocumentNode): FetchNode {
  const operation = document.definitions.find((each) => each.kind === Kind.OPERATION_DEFINITION);
  const variables = operation?.variableDefinitions?.map(({ variable }) => variable.name.value) ?? [];
  return {
    ...fetch,
    operation: stripIgnoredCharacters(print(document)),
    ...(fetch.variableUsages
      ? { variableUsages: fetch.variableUsages.filter((name) => variables.includes(name)) }
      : {}),
    ...(fetch.operationDocumentNode ? { operationDocumentNode: document } : {}),
  };
}
