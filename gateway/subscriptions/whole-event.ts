/**
 * Whether the document for the subgraph asks for just what the client asks for, so that an event can be
 * the answer. The planner puts `__typename` first; clients such as Apollo Client and urql put it last. The
 * document is given the client's order, for bytes are kept only if they are in it (`compile-check.ts`).
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

type Fragments = Readonly<Record<string, FragmentDefinitionNode>>;
/** Fields by their names in the answer, in the order in which they are first asked for. */
type Shape = Map<string, Shape>;

/** @returns the fetch, in the client's order; undefined if it asks for anything else, or under other names. */
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

function fragmentsOf({ definitions }: DocumentNode): Fragments {
  return Object.fromEntries(
    definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition]] : [],
    ),
  );
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

/** The selections by where the shape has them; a fragment by where it has the first of its fields. */
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
    : fragments[selection.name.value]?.selectionSet;
}

function keyOf({ alias, name }: Extract<SelectionNode, { kind: Kind.FIELD }>): string {
  return (alias ?? name).value;
}
