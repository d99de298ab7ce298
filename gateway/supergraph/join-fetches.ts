/**
 * Two fetches of the same entities from one subgraph, of which one waits for what the other does not need,
 * become one. The planner asks for `inStock` at once and for `shippingEstimate`, which requires a price,
 * when the price is there; the answer is there no earlier for it. So the earlier one waits, too, and the
 * subgraph is asked once. Entities that then lack what the later one requires are asked for what the earlier
 * one wanted (`alone`).
 */
import type { FetchNode, FlattenNode, PlanNode, QueryPlanSelectionNode } from '@apollo/query-planner';
import {
  Kind,
  parse,
  print,
  type DocumentNode,
  type InlineFragmentNode,
  type OperationDefinitionNode,
  type SelectionNode,
} from 'graphql';
import type { AdaptedFetch } from './adapted-fetch.js';
import { withOperation } from './split-fetches.js';

interface EntityFlatten extends FlattenNode {
  readonly node: AdaptedFetch;
}

/** The plan with such fetches joined. */
export function joinFetches(node: PlanNode): PlanNode {
  switch (node.kind) {
    case 'Sequence':
      return { ...node, nodes: node.nodes.map(joinFetches) };
    case 'Parallel':
      return joinInParallel(node.nodes.map(joinFetches));
    case 'Condition':
      return {
        ...node,
        ...(node.ifClause ? { ifClause: joinFetches(node.ifClause) } : {}),
        ...(node.elseClause ? { elseClause: joinFetches(node.elseClause) } : {}),
      };
    default:
      return node;
  }
}

/** Nodes that run at the same time: what is a fetch by itself may wait for one that is in a sequence. */
function joinInParallel(nodes: readonly PlanNode[]): PlanNode {
  let left = [...nodes];
  for (const early of nodes) {
    if (!isOfEntities(early)) continue;
    const others = left.filter((other) => other !== early);
    const joined = others.map((other) => (other.kind === 'Sequence' ? joinLater(other, early) : other));
    if (joined.some((other, index) => other !== others[index])) left = joined;
  }
  const [only] = left;
  return only && left.length === 1 ? only : { kind: 'Parallel', nodes: left };
}

/** The node, with the early fetch in the first later one that it can be part of; the node itself if there is none. */
function joinLater(node: PlanNode, early: EntityFlatten): PlanNode {
  if (isOfEntities(node)) {
    const fetch = isSamePlace(node, early) ? joinTwo(early.node, node.node) : undefined;
    return fetch ? { ...node, node: fetch } : node;
  }
  if (node.kind !== 'Sequence' && node.kind !== 'Parallel') return node;
  for (const [index, part] of node.nodes.entries()) {
    const joined = joinLater(part, early);
    if (joined !== part) return { ...node, nodes: node.nodes.with(index, joined) };
  }
  return node;
}

function isOfEntities(node: PlanNode): node is EntityFlatten {
  return node.kind === 'Flatten' && node.node.kind === 'Fetch' && node.node.requires !== undefined;
}

function isSamePlace(one: EntityFlatten, other: EntityFlatten): boolean {
  return one.node.serviceName === other.node.serviceName && JSON.stringify(one.path) === JSON.stringify(other.path);
}

/** One fetch for both; undefined if they can't be asked together. */
function joinTwo(early: AdaptedFetch, later: AdaptedFetch): AdaptedFetch | undefined {
  if (!isPlain(early) || !isPlain(later) || later.alone) return undefined;
  if (!isPartOf(early.requires ?? [], later.requires ?? [])) return undefined;
  const document = joinDocuments(parse(early.operation), parse(later.operation));
  if (!document) return undefined;
  return {
    ...withOperation(
      { ...later, variableUsages: [...new Set([...(early.variableUsages ?? []), ...(later.variableUsages ?? [])])] },
      document,
    ),
    alone: early,
    ...(later.keyNames ? { keyNames: later.keyNames } : {}),
  };
}

/** Without anything that makes a field of one of them mean something else in both. */
function isPlain({ operation, inputRewrites, outputRewrites, contextRewrites }: FetchNode): boolean {
  return ![inputRewrites, outputRewrites, contextRewrites].some((all) => all?.length) && !operation.includes('@');
}

/** Whether all that the first sends of an entity is sent by the second, too. */
function isPartOf(one: readonly QueryPlanSelectionNode[], other: readonly QueryPlanSelectionNode[]): boolean {
  return one.every((part) =>
    other.some((counterpart) => {
      if (part.kind === 'InlineFragment')
        return (
          counterpart.kind === 'InlineFragment' &&
          counterpart.typeCondition === part.typeCondition &&
          isPartOf(part.selections, counterpart.selections)
        );
      return (
        counterpart.kind === 'Field' &&
        counterpart.name === part.name &&
        counterpart.alias === part.alias &&
        isPartOf(part.selections ?? [], counterpart.selections ?? [])
      );
    }),
  );
}

/** Entities with the selections of both; undefined if names of one mean something else in the other. */
function joinDocuments(one: DocumentNode, other: DocumentNode): DocumentNode | undefined {
  const [first, second] = [operationOf(one), operationOf(other)];
  const [entities] = first?.selectionSet.selections ?? [];
  const [others] = second?.selectionSet.selections ?? [];
  if (!first || !second || entities?.kind !== Kind.FIELD || others?.kind !== Kind.FIELD) return undefined;
  const selections = byType([...(entities.selectionSet?.selections ?? []), ...(others.selectionSet?.selections ?? [])]);
  const names = selections.flatMap(namesIn);
  if (new Set(names).size < names.length) return undefined;
  const fragments = new Map<string, string>();
  for (const definition of [...one.definitions, ...other.definitions]) {
    if (definition.kind !== Kind.FRAGMENT_DEFINITION) continue;
    const [name, text] = [definition.name.value, print(definition)];
    if ((fragments.get(name) ?? text) !== text) return undefined;
    fragments.set(name, text);
  }
  const variables = [...(first.variableDefinitions ?? []), ...(second.variableDefinitions ?? [])];
  const distinct = new Map(variables.map((each) => [each.variable.name.value, each]));
  const operation: OperationDefinitionNode = {
    ...second,
    variableDefinitions: [...distinct.values()],
    selectionSet: {
      ...second.selectionSet,
      selections: [{ ...entities, selectionSet: { kind: Kind.SELECTION_SET, selections } }],
    },
  };
  return {
    kind: Kind.DOCUMENT,
    definitions: [operation, ...[...fragments.values()].flatMap((text) => parse(text).definitions)],
  };
}

/** The selections with one fragment for each type. */
function byType(selections: readonly SelectionNode[]): readonly SelectionNode[] {
  const rest: SelectionNode[] = [];
  const fragments = new Map<string | undefined, InlineFragmentNode>();
  for (const selection of selections) {
    if (selection.kind !== Kind.INLINE_FRAGMENT) {
      rest.push(selection);
      continue;
    }
    const type = selection.typeCondition?.name.value;
    const known = fragments.get(type)?.selectionSet.selections ?? [];
    const selectionSet = { ...selection.selectionSet, selections: [...known, ...selection.selectionSet.selections] };
    fragments.set(type, { ...selection, selectionSet });
  }
  return [...rest, ...fragments.values()];
}

/** What an entity is asked for, by type; a fragment that is spread stands for itself. */
function namesIn(selection: SelectionNode): readonly string[] {
  if (selection.kind === Kind.FRAGMENT_SPREAD) return [`...${selection.name.value}`];
  if (selection.kind === Kind.FIELD)
    return selection.name.value === '__typename' ? [] : [(selection.alias ?? selection.name).value];
  return selection.selectionSet.selections
    .flatMap(namesIn)
    .map((name) => `${selection.typeCondition?.name.value ?? ''}.${name}`);
}

function operationOf({ definitions }: DocumentNode): OperationDefinitionNode | undefined {
  return definitions.find((definition) => definition.kind === Kind.OPERATION_DEFINITION);
}
