/**
 * Directives of the subgraphs' own that clients may write into operations. One that is composed (`@composeDirective`) is linked in the
 * supergraph, and what is linked is taken for machinery that clients do not see: so it loses its link. One that is for schemas, too,
 * is for operations alone in what clients see. A subgraph is sent it
 * with all of its arguments: subgraphs may differ in whether they have a default for one, which clients can't know.
 * Source: https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/directives#composedirective
 */
import {
  Kind,
  valueFromASTUntyped,
  visit,
  type ConstArgumentNode,
  type ConstDirectiveNode,
  type ConstValueNode,
  type DocumentNode,
} from 'graphql';

const executableLocations = new Set([
  ...['QUERY', 'MUTATION', 'SUBSCRIPTION', 'FIELD', 'FRAGMENT_DEFINITION', 'FRAGMENT_SPREAD', 'INLINE_FRAGMENT'],
  'VARIABLE_DEFINITION',
]);
const specifications = 'https://specs.apollo.dev/';

/** The supergraph, with such directives for everybody: where clients may write them, and with the types of their arguments. */
export function freeExecutableDirectives(supergraph: DocumentNode): DocumentNode {
  const executable = new Map(
    supergraph.definitions.flatMap((definition) => {
      if (definition.kind !== Kind.DIRECTIVE_DEFINITION) return [];
      const locations = definition.locations.filter(({ value }) => executableLocations.has(value));
      return locations.length > 0 ? [[definition.name.value, locations] as const] : [];
    }),
  );
  const links = supergraph.definitions.flatMap((definition) =>
    definition.kind === Kind.SCHEMA_DEFINITION || definition.kind === Kind.SCHEMA_EXTENSION
      ? (definition.directives ?? []).filter(({ name }) => name.value === 'link')
      : [],
  );
  const freed = new Set(links.flatMap((link) => directivesOfClients(link, executable)));
  if (freed.size === 0) return supergraph;
  return visit(supergraph, {
    Directive(directive) {
      if (directive.name.value === 'link') return withoutImports(directive as ConstDirectiveNode, executable);
      // On types and fields it says something to tools, and is not defined for them any more.
      return freed.has(directive.name.value) ? null : undefined;
    },
    DirectiveDefinition(definition) {
      const { value: name } = definition.name;
      return freed.has(name) ? { ...definition, locations: executable.get(name) ?? definition.locations } : undefined;
    },
  });
}

/** Those of a link that clients may write into operations, by their names. */
function directivesOfClients(link: ConstDirectiveNode, executable: ReadonlyMap<string, unknown>): readonly string[] {
  const { url, imports } = linkOf(link);
  if (url.startsWith(specifications)) return [];
  return imports
    .map((name) => name.replace(/^@/, ''))
    .filter((name, index) => imports[index] !== name && executable.has(name));
}

/**
 * The link with nothing but directives of schemas; null if it has none, undefined if it stays as it is. Under another name of its
 * own: what is called like a link belongs to it, imported or not.
 */
function withoutImports(
  link: ConstDirectiveNode,
  executable: ReadonlyMap<string, unknown>,
): ConstDirectiveNode | null | undefined {
  if (directivesOfClients(link, executable).length === 0) return undefined;
  const imports = link.arguments?.find(({ name }) => name.value === 'import')?.value;
  const left = (imports?.kind === Kind.LIST ? imports.values : []).filter((one) => {
    const name = importedAs(valueFromASTUntyped(one) as Import);
    return name.startsWith('@') && !executable.has(name.slice(1));
  });
  if (left.length === 0) return null;
  const others = (link.arguments ?? []).filter(({ name }) => name.value !== 'import' && name.value !== 'as');
  const argument = (name: string, value: ConstValueNode): ConstArgumentNode => ({
    kind: Kind.ARGUMENT,
    name: { kind: Kind.NAME, value: name },
    value,
  });
  return {
    ...link,
    arguments: [
      ...others,
      argument('as', { kind: Kind.STRING, value: `linked_${linkOf(link).url.replace(/\W+/g, '_')}` }),
      argument('import', { kind: Kind.LIST, values: left }),
    ],
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

type Import = string | { readonly name: string; readonly as?: string };

function importedAs(one: Import): string {
  return typeof one === 'string' ? one : (one.as ?? one.name);
}

function linkOf({ arguments: given = [] }: ConstDirectiveNode): { url: string; imports: readonly string[] } {
  const { url, import: imports } = Object.fromEntries(
    given.map(({ name, value }) => [name.value, valueFromASTUntyped(value)]),
  ) as { url?: string; import?: readonly Import[] };
  return { url: url ?? '', imports: (imports ?? []).map(importedAs) };
}
