/**
 * Which parts of an operation its caller may see. What each field asks for is found once for each operation; a caller then
 * differs from others only in which of those demands it meets, and so does what is left of the operation.
 */
import {
  Kind,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Denial, Restriction } from '../../execution/restriction.js';
import type { AccessRules, Demand } from './access-rules.js';
import { isMet, type Grants } from './grants.js';

export interface OperationAccess {
  /** The same text for callers that may see the same of it; '' if it is everything. */
  variantFor(grants: Grants): string;
  /** What the caller may not see. Undefined: nothing. */
  restrictionFor(grants: Grants): Restriction | undefined;
}

interface Guarded {
  readonly demands: readonly Demand[];
  readonly name: string;
}

const open: OperationAccess = { variantFor: () => '', restrictionFor: () => undefined };

/** @param document is valid */
export function operationAccess(
  rules: AccessRules,
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): OperationAccess {
  if (rules.isEmpty) return open;
  const used = usedDefinitions(document, operation);
  const guarded = guardedFields(rules, schema, used);
  if (guarded.size === 0) return open;
  const demands = [...new Set([...guarded.values()].flatMap((one) => one.demands))];

  return {
    variantFor(grants) {
      let variant = '';
      let isWhole = true;
      for (const demand of demands) {
        const met = isMet(demand, grants);
        isWhole &&= met;
        variant += met ? '1' : '0';
      }
      return isWhole ? '' : variant;
    },
    restrictionFor(grants) {
      const denials = new Map<FieldNode, Denial>();
      for (const [node, { demands: asked, name }] of guarded) {
        const missing = asked.find((demand) => !isMet(demand, grants));
        if (missing) denials.set(node, denialOf(name, missing, grants));
      }
      return denials.size === 0 ? undefined : { allowed: without(used, denials), denials };
    },
  };
}

/** The operation and the fragments that it uses. */
function usedDefinitions(
  { definitions }: DocumentNode,
  operation: OperationDefinitionNode,
): readonly [OperationDefinitionNode, ...FragmentDefinitionNode[]] {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const used = new Set<FragmentDefinitionNode>();
  const look = ({ selectionSet }: { readonly selectionSet: SelectionSetNode }): void =>
    void visit(selectionSet, {
      FragmentSpread({ name }) {
        const fragment = fragments.get(name.value);
        if (!fragment || used.has(fragment)) return;
        used.add(fragment);
        look(fragment);
      },
    });
  look(operation);
  return [operation, ...used];
}

function guardedFields(
  rules: AccessRules,
  schema: GraphQLSchema,
  definitions: readonly (OperationDefinitionNode | FragmentDefinitionNode)[],
): Map<FieldNode, Guarded> {
  const guarded = new Map<FieldNode, Guarded>();
  const types = new TypeInfo(schema);
  visit(
    { kind: Kind.DOCUMENT, definitions },
    visitWithTypeInfo(types, {
      Field(node) {
        const parent = types.getParentType();
        if (!parent || node.name.value === '__schema' || node.name.value === '__type') return;
        const demands = rules.demandsOf(parent, node.name.value);
        if (demands.length > 0) guarded.set(node, { demands, name: `${parent.name}.${node.name.value}` });
      },
    }),
  );
  return guarded;
}

function denialOf(field: string, { kind, anyOf }: Demand, { hasToken }: Grants): Denial {
  if (!hasToken)
    return { code: 'UNAUTHENTICATED', message: `${field} asks for a token. Send "Authorization: Bearer <token>".` };
  const alternatives = anyOf.map((all) => all.join(' and ')).join(', or ');
  return {
    code: 'FORBIDDEN',
    message: `${field} asks for the ${kind === 'policies' ? 'policy' : 'scope'} ${alternatives}, which your token lacks.`,
  };
}

/** The document with nothing in it that is denied. What has nothing left in it is asked for its type, which tells no more than that it is there. */
function without(
  [operation, ...fragments]: readonly [OperationDefinitionNode, ...FragmentDefinitionNode[]],
  denials: ReadonlyMap<FieldNode, Denial>,
): DocumentNode {
  const byName = new Map(fragments.map((fragment) => [fragment.name.value, fragment]));
  const filtered = new Map<string, SelectionSetNode>();

  const inFragment = (name: string): SelectionSetNode | undefined => {
    const known = filtered.get(name);
    if (known) return known;
    const fragment = byName.get(name);
    if (!fragment) return undefined;
    const made = inSet(fragment.selectionSet);
    filtered.set(name, made);
    return made;
  };
  const inSet = (set: SelectionSetNode): SelectionSetNode => ({
    ...set,
    selections: set.selections.flatMap((selection): SelectionNode[] => {
      if (selection.kind === Kind.FRAGMENT_SPREAD)
        return (inFragment(selection.name.value)?.selections.length ?? 0) > 0 ? [selection] : [];
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const selectionSet = inSet(selection.selectionSet);
        return selectionSet.selections.length > 0 ? [{ ...selection, selectionSet }] : [];
      }
      if (denials.has(selection)) return [];
      if (!selection.selectionSet) return [selection];
      return [{ ...selection, selectionSet: orType(inSet(selection.selectionSet)) }];
    }),
  });

  const selectionSet = orType(inSet(operation.selectionSet));
  const left = fragments.flatMap((fragment) => {
    const set = filtered.get(fragment.name.value);
    return set && set.selections.length > 0 ? [{ ...fragment, selectionSet: set }] : [];
  });
  const variables = new Set<string>();
  const spread = new Set<string>();
  for (const node of [selectionSet, ...(operation.directives ?? []), ...left])
    visit(node, {
      Variable: ({ name }) => void variables.add(name.value),
      FragmentSpread: ({ name }) => void spread.add(name.value),
    });
  return {
    kind: Kind.DOCUMENT,
    definitions: [
      {
        ...operation,
        selectionSet,
        variableDefinitions: (operation.variableDefinitions ?? []).filter(({ variable }) =>
          variables.has(variable.name.value),
        ),
      },
      ...left.filter(({ name }) => spread.has(name.value)),
    ],
  };
}

const typename: FieldNode = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: '__typename' } };

function orType(set: SelectionSetNode): SelectionSetNode {
  return set.selections.length > 0 ? set : { ...set, selections: [typename] };
}
