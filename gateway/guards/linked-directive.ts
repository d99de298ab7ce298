/** What a directive of a specification is called in a supergraph: `@link` may import it under another name, or not at all. */
import { valueFromASTUntyped, type DirectiveNode, type GraphQLSchema } from 'graphql';

interface Link {
  readonly url?: string;
  readonly as?: string;
  readonly import?: readonly (string | { readonly name: string; readonly as?: string })[];
}

/**
 * @param identity URL of the specification without its version, e.g. `https://specs.apollo.dev/cost`
 * @returns the name without `@`; undefined if the supergraph doesn't have it.
 * Source: https://specs.apollo.dev/link/v1.0/
 */
export function linkedDirective(schema: GraphQLSchema, identity: string, directive: string): string | undefined {
  const { astNode, extensionASTNodes } = schema;
  const directives = [astNode, ...extensionASTNodes].flatMap((node) => node?.directives ?? []);
  for (const link of directives.filter(({ name }) => name.value === 'link')) {
    const { url = '', as, import: imports = [] } = argumentsOf(link) as Link;
    const match = /^(.*)\/v\d+\.\d+\/?$/.exec(url);
    if (match?.[1] !== identity) continue;
    for (const one of imports) {
      const imported = typeof one === 'string' ? { name: one } : one;
      if (imported.name === `@${directive}`) return (imported.as ?? imported.name).slice(1);
    }
    // A specification that has one directive calls it as itself.
    const prefix = as ?? identity.slice(identity.lastIndexOf('/') + 1);
    return identity.endsWith(`/${directive}`) ? prefix : `${prefix}__${directive}`;
  }
  return undefined;
}

export function argumentsOf({ arguments: given = [] }: DirectiveNode): Readonly<Record<string, unknown>> {
  return Object.fromEntries(given.map(({ name, value }) => [name.value, valueFromASTUntyped(value)]));
}

export function directiveOf(
  node: { readonly directives?: readonly DirectiveNode[] | undefined } | null | undefined,
  name: string | undefined,
): Readonly<Record<string, unknown>> | undefined {
  const directive = name === undefined ? undefined : node?.directives?.find((one) => one.name.value === name);
  return directive && argumentsOf(directive);
}
