/** Directives of a supergraph's document, and what they are on. */
import {
  Kind,
  type ConstDirectiveNode,
  type ConstValueNode,
  type DefinitionNode,
  type InterfaceTypeDefinitionNode,
  type ObjectTypeDefinitionNode,
  type TypeNode,
} from 'graphql';

/** A type that has fields. */
export type Composite = ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode;

export function isComposite(definition: DefinitionNode): definition is Composite {
  return definition.kind === Kind.OBJECT_TYPE_DEFINITION || definition.kind === Kind.INTERFACE_TYPE_DEFINITION;
}

export function namedType(type: TypeNode): string {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : namedType(type.type);
}

/** The argument, if it is a string or an enum. */
export function textOf({ arguments: given = [] }: ConstDirectiveNode, argument: string): string | undefined {
  const value = given.find(({ name }) => name.value === argument)?.value;
  return value?.kind === Kind.STRING || value?.kind === Kind.ENUM ? value.value : undefined;
}

export function isExternal({ arguments: given = [] }: ConstDirectiveNode): boolean {
  const value = given.find(({ name }) => name.value === 'external')?.value;
  return value?.kind === Kind.BOOLEAN && value.value;
}

/** The directive with another value of an argument that it has. */
export function withArgument(
  directive: ConstDirectiveNode,
  argument: string,
  value: ConstValueNode,
): ConstDirectiveNode {
  return {
    ...directive,
    arguments: (directive.arguments ?? []).map((given) =>
      given.name.value === argument ? { ...given, value } : given,
    ),
  };
}

/** The field sets of a key, of what a field requires, and of what it takes from a context. */
export function fieldSetsOf({ name, arguments: given = [] }: ConstDirectiveNode): readonly string[] {
  if (name.value !== 'join__type' && name.value !== 'join__field') return [];
  return given.flatMap(({ name: { value: argument }, value }) => {
    if (value.kind === Kind.STRING) return argument === 'key' || argument === 'requires' ? [value.value] : [];
    if (value.kind !== Kind.LIST || argument !== 'contextArguments') return [];
    return value.values.flatMap((each) =>
      each.kind === Kind.OBJECT
        ? each.fields.flatMap((field) => (field.value.kind === Kind.STRING ? [field.value.value] : []))
        : [],
    );
  });
}
