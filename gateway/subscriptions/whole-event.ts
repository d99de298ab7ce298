/**
 * Finds plans whose events can be the answer: the subgraph is asked for the client's fields and no
 * others. Its document gets the client's field order, which the bytes of an event must have
 * (`compile-check.ts`): the planner puts `__typename` first, Apollo Client and urql put it last.
 */
import type { FetchNode } from '@apollo/query-planner';
import {
  Kind,
  parse,
  print,
  type DocumentNode,
  type FragmentDefinitionNode,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { fragmentsOf } from '../execution/response/response-shape.js';

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;
/** Fields by their names in the answer, in the order in which they are first asked for. */
type Shape = Map<string, Shape>;

/** @returns the fetch in the client's field order; undefined if its fields or names differ. */
export function wholeEvent(
  operation: OperationDefinitionNode,
  document: DocumentNode,
  primary: FetchNode,
): FetchNode | undefined {
  const theirDocument = parse(primary.operation);
  const theirs = operationOf(theirDocument);
  if (theirs === undefined || (primary.outputRewrites?.length ?? 0) > 0) return undefined;
  const shape = shapeOf(operation.selectionSet, fragmentsOf(document));
  const fragments = fragmentsOf(theirDocument);
  if (!areEqual(shape, shapeOf(theirs.selectionSet, fragments))) return undefined;
  const ordered = inOrder(theirs.selectionSet, shape, fragments);
  if (print(ordered) === print(theirs.selectionSet)) return primary;
  const definitions = theirDocument.definitions.map((definition) =>
    definition === theirs ? { ...theirs, selectionSet: ordered } : definition,
  );
  return { ...primary, operation: print({ ...theirDocument, definitions }) };
}

export function operationOf(document: DocumentNode): OperationDefinitionNode | undefined {
  return document.definitions.find((definition) => definition.kind === Kind.OPERATION_DEFINITION);
}

function shapeOf(set: SelectionSetNode, fragments: Fragments, shape: Shape = new Map()): Shape {
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) {
      const name = keyOf(selection);
      const inner = shape.get(name) ?? new Map<string, Shape>();
      shape.set(name, inner);
      if (selection.selectionSet) shapeOf(selection.selectionSet, fragments, inner);
    } else {
      const inner = selectionSetOf(selection, fragments);
      if (inner) shapeOf(inner, fragments, shape);
    }
  }
  return shape;
}

function areEqual(one: Shape, other: Shape): boolean {
  if (one.size !== other.size) return false;
  for (const [name, inner] of one) {
    const counterpart = other.get(name);
    if (counterpart === undefined || !areEqual(inner, counterpart)) return false;
  }
  return true;
}

/** Sorts the selections by the order of the shape; a fragment by its first field in the shape. */
function inOrder(set: SelectionSetNode, shape: Shape, fragments: Fragments): SelectionSetNode {
  const places = new Map([...shape.keys()].map((key, index) => [key, index]));
  const placed = set.selections.map((selection) => {
    const inner = selection.kind === Kind.FIELD ? shape.get(keyOf(selection)) : shape;
    const ordered =
      selection.kind === Kind.FRAGMENT_SPREAD || !selection.selectionSet || !inner
        ? selection
        : { ...selection, selectionSet: inOrder(selection.selectionSet, inner, fragments) };
    return { ordered, place: placeOf(ordered, places, fragments) };
  });
  return { ...set, selections: placed.sort((one, other) => one.place - other.place).map(({ ordered }) => ordered) };
}

function placeOf(selection: SelectionNode, places: ReadonlyMap<string, number>, fragments: Fragments): number {
  if (selection.kind === Kind.FIELD) return places.get(keyOf(selection)) ?? places.size;
  const { selections = [] } = selectionSetOf(selection, fragments) ?? {};
  return Math.min(places.size, ...selections.map((inner) => placeOf(inner, places, fragments)));
}

function selectionSetOf(
  selection: Exclude<SelectionNode, { kind: Kind.FIELD }>,
  fragments: Fragments,
): SelectionSetNode | undefined {
  return selection.kind === Kind.INLINE_FRAGMENT
    ? selection.selectionSet
    : fragments.get(selection.name.value)?.selectionSet;
}

function keyOf({ alias, name }: Extract<SelectionNode, { kind: Kind.FIELD }>): string {
  return (alias ?? name).value;
}
