/**
 * Entities that other subgraphs refer to. The field `_entities` reaches them past every root field, so what guards the root
 * fields does not guard them: each entity says in the schema what a caller needs, by `@referenceScopes`.
 */
import type { buildSubgraphSchema } from '@apollo/subgraph';
import { Kind, type DirectiveNode, type DocumentNode, type ObjectTypeDefinitionNode } from 'graphql';
import { FleetgraphError } from '../errors.js';
import { authorize, hasRequiredScopes, scopesOf } from './required-scopes.js';
import type { RequestContext } from './context.js';

type SchemaModule = Extract<
  Extract<Parameters<typeof buildSubgraphSchema>[0], readonly unknown[]>[number],
  { typeDefs: unknown }
>;
/** Resolvers by type and field, as `buildSubgraphSchema` takes them; each subgraph's have its own context. */
export type Resolvers = NonNullable<SchemaModule['resolvers']>;

type ResolveReference = (
  reference: Readonly<Record<string, unknown>>,
  context: RequestContext,
  info: unknown,
) => unknown;

/**
 * The resolvers, with those of references guarded by scopes and by the type of their keys.
 * @throws Error for an entity that does not say which scopes a reference to it asks for: that is a defect of the schema
 */
export function guardReferences(document: DocumentNode, resolvers: Resolvers): Resolvers {
  const guarded: Record<string, unknown> = { ...resolvers };
  for (const type of document.definitions) {
    if (type.kind !== Kind.OBJECT_TYPE_DEFINITION && type.kind !== Kind.OBJECT_TYPE_EXTENSION) continue;
    const keys = (type.directives ?? []).filter(isResolvableKey);
    if (keys.length === 0) continue;
    const name = type.name.value;
    const own = (resolvers as Readonly<Record<string, unknown>>)[name] as
      { readonly __resolveReference?: ResolveReference } | undefined;
    const directive = (type.directives ?? []).find((each) => each.name.value === 'referenceScopes');
    if (!own?.__resolveReference || !directive)
      throw new Error(
        `${name} is an entity, so it needs @referenceScopes in the schema and __resolveReference in the resolvers.`,
      );
    guarded[name] = {
      ...own,
      __resolveReference: guard(type as ObjectTypeDefinitionNode, keys, directive, own.__resolveReference),
    };
  }
  return guarded as Resolvers;
}

function guard(
  type: ObjectTypeDefinitionNode,
  keys: readonly DirectiveNode[],
  directive: DirectiveNode,
  resolve: ResolveReference,
): ResolveReference {
  const name = type.name.value;
  const keyFields = keys.map(fieldsOfKey);
  const required = scopesOf(directive);
  if (required.length === 0) {
    const isOfKey = (field: string): boolean => keyFields.some((fields) => fields.includes(field));
    const open = type.fields?.find((field) => !isOfKey(field.name.value) && !hasRequiredScopes(field.directives ?? []));
    if (open)
      throw new Error(
        `A reference to a ${name} asks for no scope, so ${name}.${open.name.value} needs @requiresScopes.`,
      );
  }
  return async (reference, context, info) => {
    if (required.length > 0) authorize(context, required, name);
    // A representation is not checked against the schema, and one odd id would fail all that are loaded with it.
    if (!keyFields.some((fields) => fields.every((field) => typeof reference[field] === 'string')))
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        `A reference to a ${name} needs ${keyFields.map((fields) => fields.map((field) => `"${field}"`).join(' and ')).join(', or ')} as text.`,
        { field: keyFields[0]?.[0] ?? 'id' },
      );
    return resolve(reference, context, info);
  };
}

function isResolvableKey({ name, arguments: given = [] }: DirectiveNode): boolean {
  if (name.value !== 'key') return false;
  const resolvable = given.find((argument) => argument.name.value === 'resolvable')?.value;
  return !(resolvable?.kind === Kind.BOOLEAN && !resolvable.value);
}

/** Keys of fleetgraph's subgraphs are flat. */
function fieldsOfKey({ arguments: given = [] }: DirectiveNode): readonly string[] {
  const fields = given.find((argument) => argument.name.value === 'fields')?.value;
  const text = fields?.kind === Kind.STRING ? fields.value.trim() : '';
  if (text === '' || text.includes('{')) throw new Error(`The key "${text}" is not a list of fields.`);
  return text.split(/[\s,]+/);
}
