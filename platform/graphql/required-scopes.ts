/** The scopes that a schema asks for with `@requiresScopes`, as Apollo's federation has it, and whether a caller has them. */
import type { DirectiveNode } from 'graphql';
import { FleetgraphError } from '../errors.js';
import { isScope, type Scope } from '../identity/identity.js';
import type { RequestContext } from './context.js';

/** `[[a, b], [c]]`: (a and b) or c. */
export type RequiredScopes = readonly (readonly Scope[])[];

const isRequiresScopes = ({ name }: DirectiveNode): boolean => /^(federation__)?requiresScopes$/.test(name.value);

export function hasRequiredScopes(directives: readonly DirectiveNode[]): boolean {
  return directives.some(isRequiresScopes);
}

/** @returns undefined without the directive. @throws Error for what is no scope of platform/identity */
export function requiredScopes(directives: readonly DirectiveNode[]): RequiredScopes | undefined {
  const directive = directives.find(isRequiresScopes);
  return directive && scopesOf(directive);
}

/** The argument `scopes` of a directive. @throws Error for what is no scope of platform/identity */
export function scopesOf(directive: DirectiveNode): RequiredScopes {
  const [argument] = (directive.arguments ?? []) as unknown as {
    value: { values: { values: { value: string }[] }[] };
  }[];
  return (argument?.value.values ?? []).map((alternative) =>
    alternative.values.map(({ value }) => {
      if (!isScope(value))
        throw new Error(`"${value}" in @${directive.name.value} is not a scope of platform/identity.`);
      return value;
    }),
  );
}

/** @param what is asked for: a field or a type. @throws FleetgraphError FORBIDDEN */
export function authorize({ identity }: RequestContext, required: RequiredScopes, what: string): void {
  if (required.some((alternative) => alternative.every((scope) => identity.scopes.has(scope)))) return;
  throw new FleetgraphError(
    'FORBIDDEN',
    `${what} asks for the scope ${required.map((alternative) => alternative.join(' and ')).join(', or ')}, which your token lacks.`,
  );
}
