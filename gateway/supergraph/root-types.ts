/**
 * Root types in what subgraphs are asked. A subgraph may call them as it likes (`schema { query: query_root }`); composition renames
 * them, and the supergraph does not say from what. So no document names a root type where its place says which type it is, and
 * the `__typename` of a root is not read: it comes under another name.
 * Known limit: under an interface or a union that has a root type, `... on Query` can't be left out.
 * Source: https://specs.graphql.org/draft/#sec-Root-Operation-Types and https://github.com/graphql-hive/router/issues/1231
 */
import type { FetchNode } from '@apollo/query-planner';
import {
  Kind,
  OperationTypeNode,
  parse,
  separateOperations,
  type DefinitionNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { isComposite, namedType } from './join-directives.js';
import { withOperation } from './split-fetches.js';

/** Under which the type of a root comes; nobody reads it. */
const typenameAlias = 'root_typename';

/** Names of the root types in the document of a supergraph. */
export function rootTypeNames({ definitions }: DocumentNode): ReadonlyMap<OperationTypeNode, string> {
  const schema = definitions.find((definition) => definition.kind === Kind.SCHEMA_DEFINITION);
  const declared = schema?.operationTypes.map(({ operation, type }) => [operation, type.name.value] as const);
  return new Map(
    declared ?? [
      [OperationTypeNode.QUERY, 'Query'],
      [OperationTypeNode.MUTATION, 'Mutation'],
      [OperationTypeNode.SUBSCRIPTION, 'Subscription'],
    ],
  );
}

/** @returns a function that takes the names of root types out of a fetch of a plan. */
export function withoutRootTypeNames(supergraph: DocumentNode): (fetch: FetchNode) => FetchNode {
  const rootOf = rootTypeNames(supergraph);
  const roots = new Set(rootOf.values());
  const fieldTypes = new Map(
    supergraph.definitions
      .filter(isComposite)
      .flatMap(({ name: { value: type }, fields = [] }) =>
        fields.map((field) => [`${type}.${field.name.value}`, namedType(field.type)] as const),
      ),
  );
  const toRoots = [...fieldTypes].flatMap(([place, type]) => (roots.has(type) ? [place.split('.')[1]] : []));
  const isConcerned = new RegExp(
    `\\b(?:on (?:${[...roots].join('|')})${toRoots.map((name) => `|${name}`).join('')})\\b`,
  );

  const withoutNames = (document: DocumentNode): DocumentNode => {
    const fragments = new Map(
      document.definitions.flatMap((each) => (each.kind === Kind.FRAGMENT_DEFINITION ? [[each.name.value, each]] : [])),
    );
    const isOnRoot = ({ typeCondition }: FragmentDefinitionNode): boolean => roots.has(typeCondition.name.value);
    /** @param isRoot whether its object is a root, whatever the type of the place */
    const walk = (set: SelectionSetNode, type: string | undefined, isRoot: boolean): SelectionSetNode => ({
      ...set,
      selections: set.selections.flatMap((selection): readonly SelectionNode[] => {
        if (selection.kind === Kind.FIELD) {
          if (isRoot && selection.name.value === '__typename' && !selection.alias)
            return [{ ...selection, alias: { kind: Kind.NAME, value: typenameAlias } }];
          if (!selection.selectionSet) return [selection];
          const inner = fieldTypes.get(`${type ?? ''}.${selection.name.value}`);
          return [{ ...selection, selectionSet: walk(selection.selectionSet, inner, roots.has(inner ?? '')) }];
        }
        const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? fragments.get(selection.name.value) : selection;
        if (!fragment || (fragment.kind === Kind.FRAGMENT_DEFINITION && !isOnRoot(fragment) && !isRoot))
          return [selection];
        const { typeCondition } = fragment;
        const { directives = [] } = selection;
        const selectionSet = walk(fragment.selectionSet, typeCondition?.name.value ?? type, isRoot);
        if (!typeCondition || typeCondition.name.value !== type || !roots.has(type))
          return [
            { kind: Kind.INLINE_FRAGMENT, ...(typeCondition ? { typeCondition } : {}), directives, selectionSet },
          ];
        return directives.length === 0
          ? selectionSet.selections
          : [{ kind: Kind.INLINE_FRAGMENT, directives, selectionSet }];
      }),
    });
    return withoutUnusedFragments({
      ...document,
      definitions: document.definitions.flatMap((definition): readonly DefinitionNode[] => {
        if (definition.kind === Kind.OPERATION_DEFINITION)
          return [
            { ...definition, selectionSet: walk(definition.selectionSet, rootOf.get(definition.operation), true) },
          ];
        if (definition.kind !== Kind.FRAGMENT_DEFINITION) return [definition];
        // They are in the places of their spreads.
        if (isOnRoot(definition)) return [];
        return [
          { ...definition, selectionSet: walk(definition.selectionSet, definition.typeCondition.name.value, false) },
        ];
      }),
    });
  };
  /** A fetch whose operation begins at the root may be for a place in the answer, which has a `__typename` of its own. */
  const asksRootForTypename = (fetch: FetchNode): boolean => !fetch.requires && fetch.operation.includes('__typename');
  return (fetch) =>
    asksRootForTypename(fetch) || isConcerned.test(fetch.operation)
      ? withOperation(fetch, withoutNames(parse(fetch.operation, { noLocation: true })))
      : fetch;
}

/** Of an operation and its fragments, what the operation reaches: a subgraph refuses a fragment that nothing spreads. */
function withoutUnusedFragments(document: DocumentNode): DocumentNode {
  return Object.values(separateOperations(document))[0] ?? document;
}
