/**
 * Directives of the subgraphs' own that clients may write into operations. One that is composed (`@composeDirective`) is linked in the
 * supergraph, and what is linked is taken for machinery that clients do not see: so it loses its link. A subgraph is sent it
 * with all of its arguments: subgraphs may differ in whether they have a default for one, which clients can't know.
 * Source: https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/directives#composedirective
 */
import {
  Kind,
  valueFromASTUntyped,
  visit,
  type ConstDirectiveNode,
  type ConstValueNode,
  type DocumentNode,
} from 'graphql';

const executableLocations = new Set([
  ...['QUERY', 'MUTATION', 'SUBSCRIPTION', 'FIELD', 'FRAGMENT_DEFINITION', 'FRAGMENT_SPREAD', 'INLINE_FRAGMENT'],
  'VARIABLE_DEFINITION',
]);
const specifications = 'https://specs.apollo.dev/';

/** The supergraph, with such directives for everybody. */
export function freeExecutableDirectives(supergraph: DocumentNode): DocumentNode {
  const executable = new Set(
    supergraph.definitions.flatMap((definition) =>
      definition.kind === Kind.DIRECTIVE_DEFINITION &&
      definition.locations.every(({ value }) => executableLocations.has(value))
        ? [`@${definition.name.value}`]
        : [],
    ),
  );
  const isOfClients = (directive: ConstDirectiveNode): boolean => {
    if (directive.name.value !== 'link') return false;
    const { url, imports } = linkOf(directive);
    return !url.startsWith(specifications) && imports.length > 0 && imports.every((name) => executable.has(name));
  };
  if (executable.size === 0) return supergraph;
  return {
    ...supergraph,
    definitions: supergraph.definitions.map((definition) =>
      definition.kind === Kind.SCHEMA_DEFINITION || definition.kind === Kind.SCHEMA_EXTENSION
        ? { ...definition, directives: (definition.directives ?? []).filter((each) => !isOfClients(each)) }
        : definition,
    ),
  };
}

/** Default values by `directive`, then argument. */
export type DirectiveDefaults = ReadonlyMap<string, ReadonlyMap<string, ConstValueNode>>;

/** Of the directives that a supergraph defines. */
export function directiveDefaults(supergraph: DocumentNode): DirectiveDefaults {
  return new Map(
    supergraph.definitions.flatMap((definition) => {
      if (definition.kind !== Kind.DIRECTIVE_DEFINITION) return [];
      const defaults = (definition.arguments ?? []).flatMap(({ name, defaultValue }) =>
        defaultValue ? [[name.value, defaultValue] as const] : [],
      );
      return defaults.length > 0 ? [[definition.name.value, new Map(defaults)] as const] : [];
    }),
  );
}

/** The operation, with the arguments of its directives that it leaves to their defaults. */
export function writeOutDefaults(operation: DocumentNode, all: DirectiveDefaults): DocumentNode {
  if (all.size === 0) return operation;
  return visit(operation, {
    Directive(directive) {
      const given = directive.arguments ?? [];
      const missing = [...(all.get(directive.name.value) ?? [])].filter(
        ([name]) => !given.some((argument) => argument.name.value === name),
      );
      if (missing.length === 0) return undefined;
      const written = missing.map(
        ([name, value]) => ({ kind: Kind.ARGUMENT, name: { kind: Kind.NAME, value: name }, value }) as const,
      );
      return { ...directive, arguments: [...given, ...written] };
    },
  });
}

function linkOf({ arguments: given = [] }: ConstDirectiveNode): { url: string; imports: readonly string[] } {
  const { url, import: imports } = Object.fromEntries(
    given.map(({ name, value }) => [name.value, valueFromASTUntyped(value)]),
  ) as { url?: string; import?: readonly (string | { readonly name: string; readonly as?: string })[] };
  return {
    url: url ?? '',
    imports: (imports ?? []).map((one) => (typeof one === 'string' ? one : (one.as ?? one.name))),
  };
}
