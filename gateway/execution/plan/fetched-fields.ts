/**
 * What a fetch asks its subgraph for, by the names in the data: what is missing when it fails. Read
 * when something fails, once.
 */
import type { FetchNode } from '@apollo/query-planner';
import {
  Kind,
  parse,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
  type SourceLocation,
} from 'graphql';

/** Fields by name, whatever the type of the object; a leaf has none. */
export type FieldTree = ReadonlyMap<string, FieldTree>;
type GrowingTree = Map<string, GrowingTree>;

export type Fetched = Pick<FetchNode, 'operation' | 'requires' | 'outputRewrites'>;

interface Read {
  readonly document: DocumentNode;
  readonly fields: FieldTree;
}

const known = new WeakMap<Fetched, Read>();

/** The fields of the root or, of a fetch of entities, those of the entities. */
export function fetchedFields(fetch: Fetched): FieldTree {
  return read(fetch).fields;
}

/** The field of the root, or of the entities, that a place in the text of the operation is in. */
export function fieldAtLocation(fetch: Fetched, { line, column }: SourceLocation): string | undefined {
  const lines = fetch.operation.split('\n').slice(0, line - 1);
  const offset = lines.reduce((sum, { length }) => sum + length + 1, column - 1);
  const { document } = read(fetch);
  const field = topSets(document, fetch)
    .flatMap((set) => fieldsIn(set, document))
    .find(({ loc }) => loc !== undefined && loc.start <= offset && offset < loc.end);
  return field && nameInData(field, fetch);
}

function read(fetch: Fetched): Read {
  const found = known.get(fetch);
  if (found) return found;
  const document = parse(fetch.operation);
  const fields: GrowingTree = new Map();
  for (const set of topSets(document, fetch)) grow(fields, set, document, fetch);
  const made = { document, fields };
  known.set(fetch, made);
  return made;
}

/** The name of a field in the data: rewrites give it back the name that the plan took from it. */
export function originalName(name: string, { outputRewrites }: Pick<FetchNode, 'outputRewrites'>): string {
  const rewrite = outputRewrites?.find(({ kind, path }) => kind === 'KeyRenamer' && path.at(-1) === name);
  return rewrite?.kind === 'KeyRenamer' ? rewrite.renameKeyTo : name;
}

function nameInData({ alias, name }: FieldNode, fetch: Fetched): string {
  return originalName((alias ?? name).value, fetch);
}

function topSets({ definitions }: DocumentNode, { requires }: Fetched): SelectionSetNode[] {
  const roots = definitions.flatMap((definition) =>
    definition.kind === Kind.OPERATION_DEFINITION ? [definition.selectionSet] : [],
  );
  if (!requires) return roots;
  return roots.flatMap(({ selections }) =>
    selections.flatMap((selection) =>
      selection.kind === Kind.FIELD && selection.selectionSet ? [selection.selectionSet] : [],
    ),
  );
}

function grow(tree: GrowingTree, set: SelectionSetNode, document: DocumentNode, fetch: Fetched): void {
  for (const field of fieldsIn(set, document)) {
    const name = nameInData(field, fetch);
    const inner: GrowingTree = tree.get(name) ?? new Map<string, GrowingTree>();
    tree.set(name, inner);
    if (field.selectionSet) grow(inner, field.selectionSet, document, fetch);
  }
}

/** Also those in fragments. */
function fieldsIn({ selections }: SelectionSetNode, document: DocumentNode): FieldNode[] {
  return selections.flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection];
    if (selection.kind === Kind.INLINE_FRAGMENT) return fieldsIn(selection.selectionSet, document);
    const fragment = document.definitions.find(
      (definition): definition is FragmentDefinitionNode =>
        definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === selection.name.value,
    );
    return fragment ? fieldsIn(fragment.selectionSet, document) : [];
  });
}
