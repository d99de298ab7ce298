/**
 * What the fields of a supergraph ask of whoever wants to see them: `@authenticated`, `@requiresScopes` and `@policy`, by the
 * names under which they are linked. A field asks for what stands on itself, on its type, and on what its subgraph requires for
 * it (`@requires`, `@fromContext`), which would be fetched in its name. On an interface it asks for what any of the types asks
 * that it may turn out to be: no way around is less guarded than the front door. (Not the other way round: composition writes
 * on an interface what any of its types asks, which is not what each of them asks.)
 * Source: https://specs.apollo.dev/requiresScopes/v0.1/ and its siblings
 */
import {
  getNamedType,
  isAbstractType,
  isInterfaceType,
  isObjectType,
  Kind,
  parse,
  type GraphQLCompositeType,
  type GraphQLNamedType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { argumentsOf, directiveOf, linkedDirective } from '../linked-directive.js';

/** One thing that is asked: any of the alternatives, of each all. */
export interface Demand {
  readonly kind: 'token' | 'scopes' | 'policies';
  readonly anyOf: readonly (readonly string[])[];
}

export interface AccessRules {
  /** Whether nothing is guarded. */
  readonly isEmpty: boolean;
  /** All of them have to be met. */
  demandsOf(type: GraphQLCompositeType, field: string): readonly Demand[];
}

const none: readonly Demand[] = [];

export function createAccessRules(schema: GraphQLSchema): AccessRules {
  const link = (name: string) => linkedDirective(schema, `https://specs.apollo.dev/${name}`, name);
  const names = { token: link('authenticated'), scopes: link('requiresScopes'), policies: link('policy') };
  const contextName = link('context');
  const demands = new Map<string, Demand>();
  const known = new Map<string, readonly Demand[]>();

  /** One object for each demand, so that an operation which asks for it in many places asks once. */
  const demand = (kind: Demand['kind'], anyOf: Demand['anyOf']): Demand => {
    const key = JSON.stringify([kind, anyOf]);
    const made = demands.get(key) ?? { kind, anyOf };
    demands.set(key, made);
    return made;
  };

  const said = (element: { readonly astNode?: unknown; readonly extensionASTNodes?: unknown }): Demand[] => {
    const nodes = [element.astNode, ...((element.extensionASTNodes as unknown[] | undefined) ?? [])] as Parameters<
      typeof directiveOf
    >[0][];
    return nodes.flatMap((node) => {
      const scopes = directiveOf(node, names.scopes)?.['scopes'] as string[][] | undefined;
      const policies = directiveOf(node, names.policies)?.['policies'] as string[][] | undefined;
      return [
        ...(directiveOf(node, names.token) ? [demand('token', [])] : []),
        ...(scopes ? [demand('scopes', scopes)] : []),
        ...(policies ? [demand('policies', policies)] : []),
      ];
    });
  };

  const ofType = (type: GraphQLNamedType): Demand[] => said(type);

  const ownOf = (type: GraphQLCompositeType, name: string): Demand[] => {
    const field = 'getFields' in type ? type.getFields()[name] : undefined;
    if (!field) return ofType(type);
    return [
      ...ofType(type),
      ...said(field),
      ...ofType(getNamedType(field.type)),
      ...requiredBy(type, field.astNode?.directives ?? []),
    ];
  };

  /** What the subgraph of the field is sent beside it. */
  const requiredBy = (
    type: GraphQLCompositeType,
    directives: readonly Parameters<typeof argumentsOf>[0][],
  ): readonly Demand[] =>
    directives
      .filter(({ name }) => name.value === 'join__field')
      .flatMap((directive) => {
        const { requires, contextArguments = [] } = argumentsOf(directive) as {
          requires?: string;
          contextArguments?: readonly { context: string; selection: string }[];
        };
        return [
          ...(requires === undefined ? [] : ofSelections(type, fieldSet(requires))),
          ...contextArguments.flatMap(({ context, selection }) =>
            typesOfContext(context).flatMap((one) => ofSelections(one, fieldSet(selection))),
          ),
        ];
      });

  const ofSelections = (type: GraphQLCompositeType, { selections }: SelectionSetNode): readonly Demand[] =>
    selections.flatMap((selection): readonly Demand[] => {
      if (selection.kind === Kind.FRAGMENT_SPREAD) return none;
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const condition = selection.typeCondition && schema.getType(selection.typeCondition.name.value);
        return ofSelections((condition ?? type) as GraphQLCompositeType, selection.selectionSet);
      }
      const field = 'getFields' in type ? type.getFields()[selection.name.value] : undefined;
      if (!field) return none;
      const below = selection.selectionSet
        ? ofSelections(getNamedType(field.type) as GraphQLCompositeType, selection.selectionSet)
        : none;
      return [...demandsOf(type, selection.name.value), ...below];
    });

  const typesOfContext = (context: string): GraphQLCompositeType[] =>
    Object.values(schema.getTypeMap()).filter(
      (type): type is GraphQLCompositeType =>
        (isObjectType(type) || isAbstractType(type)) &&
        (type.astNode?.directives ?? []).some(
          (directive) => directive.name.value === contextName && argumentsOf(directive)['name'] === context,
        ),
    );

  const demandsOf = (type: GraphQLCompositeType, field: string): readonly Demand[] => {
    const key = `${type.name}.${field}`;
    const before = known.get(key);
    if (before) return before;
    // What requires itself in a circle asks for nothing more by that.
    known.set(key, none);
    const possible = isAbstractType(type) && field !== '__typename' ? schema.getPossibleTypes(type) : [];
    const between = isInterfaceType(type) && field !== '__typename' ? schema.getImplementations(type).interfaces : [];
    const all = [type, ...between, ...possible].flatMap((one) => ownOf(one, field));
    const distinct = [...new Set(all)];
    known.set(key, distinct);
    return distinct;
  };

  return { isEmpty: Object.values(names).every((name) => name === undefined), demandsOf };
}

/** A set of fields as directives of federation have it, with the variable of a context in front or without. */
function fieldSet(text: string): SelectionSetNode {
  const fields = text.trim().replace(/^\$\w+\s*/, '');
  const [definition] = parse(fields.startsWith('{') ? fields : `{ ${fields} }`).definitions;
  if (definition?.kind !== Kind.OPERATION_DEFINITION) throw new Error(`"${text}" is no set of fields.`);
  return definition.selectionSet;
}
