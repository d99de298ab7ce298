/**
 * What makes two subscriptions the same one: the operation without its names (of itself, of fragments, of variables), the
 * values of the variables it uses, and whatever the answer depends on of who asks. Where to begin (`since`) is not part of it:
 * what happens is the same for all.
 */
import { createHash } from 'node:crypto';
import {
  Kind,
  print,
  visit,
  type ASTNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { authorityOf, type Identity } from '../../platform/identity/identity.js';
import { exactJson, isLosslessNumber } from '../../platform/json/exact-json.js';
import { exactValueOf } from '../execution/variables/literal-value.js';

export interface NormalisedOperation {
  /** The operation with its fragments in place and its variables numbered. */
  readonly text: string;
  /** Names of the variables in the order of their numbers. */
  readonly variables: readonly string[];
  /** Values of those that are not given. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

/** Fragments that spread each other can stand for more than memory holds. Beyond this the operation is taken as it is written. */
const maxSelections = 5_000;

/** @param ignoredArgument argument of the root fields that is left out. */
export function normalise(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  ignoredArgument: string | undefined,
): NormalisedOperation {
  const fragments = new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );
  const inlined = inlineFragments(operation.selectionSet, fragments);
  const defaults = Object.fromEntries(
    (operation.variableDefinitions ?? []).flatMap(({ variable, defaultValue }) =>
      defaultValue ? [[variable.name.value, exactValueOf(defaultValue)]] : [],
    ),
  );
  if (inlined === undefined) {
    // As it is written, with everything that it may use.
    const names = (operation.variableDefinitions ?? []).map(({ variable }) => variable.name.value);
    return { text: document.definitions.map((definition) => print(definition)).join('\n'), variables: names, defaults };
  }
  const variables: string[] = [];
  const numbered = visit(withoutArgument(inlined, ignoredArgument) as ASTNode, {
    Variable(node) {
      let index = variables.indexOf(node.name.value);
      if (index === -1) index = variables.push(node.name.value) - 1;
      return { ...node, name: { ...node.name, value: `v${index}` } };
    },
  });
  return { text: print(numbered), variables, defaults };
}

/** The key under which equal subscriptions find each other. `values`: as they came, so that what is not JSON can't be in them. */
export function sharingKey(
  { text, variables }: NormalisedOperation,
  values: Readonly<Record<string, unknown>>,
  identity: Identity | undefined,
): string {
  // Not the token itself, which differs with each login.
  const authority = identity ? [identity.tenant, authorityOf(identity)] : [];
  const given = variables.map((name) => (values[name] === undefined ? [] : [sorted(values[name])]));
  const all = exactJson([text, given, authority]) ?? '';
  // Of fixed length: ten thousand of them are kept.
  return createHash('sha256').update(all).digest('base64');
}

/** The value with the members of its objects in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null || isLosslessNumber(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}

function inlineFragments(
  selectionSet: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): SelectionSetNode | undefined {
  let left = maxSelections;
  const inline = (set: SelectionSetNode): SelectionSetNode => ({
    ...set,
    selections: set.selections.flatMap((selection): SelectionNode[] => {
      left -= 1;
      if (left < 0) return [];
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        const fragment = fragments.get(selection.name.value);
        if (!fragment) return [];
        return [
          {
            kind: Kind.INLINE_FRAGMENT,
            typeCondition: fragment.typeCondition,
            ...(selection.directives ? { directives: selection.directives } : {}),
            selectionSet: inline(fragment.selectionSet),
          },
        ];
      }
      return [selection.selectionSet ? { ...selection, selectionSet: inline(selection.selectionSet) } : selection];
    }),
  });
  const inlined = inline(selectionSet);
  return left < 0 ? undefined : inlined;
}

/** Without the argument in the root fields, also where they are in fragments. */
function withoutArgument(set: SelectionSetNode, name: string | undefined): SelectionSetNode {
  if (name === undefined) return set;
  return {
    ...set,
    selections: set.selections.map((selection) => {
      if (selection.kind === Kind.FIELD)
        return {
          ...selection,
          arguments: (selection.arguments ?? []).filter((argument) => argument.name.value !== name),
        };
      if (selection.kind === Kind.INLINE_FRAGMENT)
        return { ...selection, selectionSet: withoutArgument(selection.selectionSet, name) };
      return selection;
    }),
  };
}
