/** Every place in the arguments of a schema where a value of some kind goes, and arguments that have a value there. */
import {
  getNullableType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLSchema,
} from 'graphql';

type Input = GraphQLArgument | GraphQLInputField;

/** A step into an input: the name of a member, or an item of a list. */
type Step = string | typeof anItem;
const anItem = Symbol('an item of a list');

export interface ArgumentPlace {
  /** Name of the type that has the field. */
  readonly parent: string;
  readonly field: GraphQLField<unknown, unknown>;
  /** What declares it: `Subscription.events(types)` or `EventFilter.types`. */
  readonly declaration: string;
  /** As an error names it, e.g. `input.actions[0].on`. */
  readonly name: string;
  readonly steps: readonly Step[];
}

/** The places whose type fulfils `isWanted`; inputs that hold themselves are entered once. */
export function argumentPlaces(
  schema: GraphQLSchema,
  isWanted: (type: GraphQLInputType) => boolean,
): readonly ArgumentPlace[] {
  return Object.values(schema.getTypeMap()).flatMap((type) => {
    if (!isObjectType(type) || type.name.startsWith('_')) return [];
    return Object.values(type.getFields())
      .filter(({ name }) => !name.startsWith('_'))
      .flatMap((field) =>
        field.args.flatMap((argument) =>
          within(argument, `${type.name}.${field.name}(${argument.name})`, [argument.name], [], isWanted).map(
            (found) => ({ parent: type.name, field, ...found, name: nameOf(found.steps) }),
          ),
        ),
      );
  });
}

function within(
  { type }: Pick<Input, 'type'>,
  declaration: string,
  steps: readonly Step[],
  entered: readonly string[],
  isWanted: (type: GraphQLInputType) => boolean,
): readonly { readonly declaration: string; readonly steps: readonly Step[] }[] {
  const inner = getNullableType(type);
  const here = isWanted(inner) ? [{ declaration, steps }] : [];
  if (isListType(inner))
    return [...here, ...within({ type: inner.ofType }, declaration, [...steps, anItem], entered, isWanted)];
  if (!isInputObjectType(inner) || entered.includes(inner.name)) return here;
  return [
    ...here,
    ...Object.values(inner.getFields()).flatMap((field) =>
      within(field, `${inner.name}.${field.name}`, [...steps, field.name], [...entered, inner.name], isWanted),
    ),
  ];
}

function nameOf(steps: readonly Step[]): string {
  return steps.reduce<string>(
    (before, step) => (step === anItem ? `${before}[0]` : before === '' ? step : `${before}.${step}`),
    '',
  );
}

/**
 * Arguments of the field that have `value` at the place, and else what must be there and what `known` gives, by declaration.
 */
export function argumentsWith(
  { parent, field, steps }: ArgumentPlace,
  value: unknown,
  known: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const [name, ...rest] = steps;
  return Object.fromEntries(
    field.args
      .filter(
        (argument) =>
          argument.name === name ||
          isRequiredArgument(argument) ||
          Object.hasOwn(known, `${parent}.${field.name}(${argument.name})`),
      )
      .map((argument) => [
        argument.name,
        argument.name === name
          ? valueWith(argument.type, rest, value, known)
          : valueOf(argument.type, `${parent}.${field.name}(${argument.name})`, known),
      ]),
  );
}

function valueWith(
  type: GraphQLInputType,
  steps: readonly Step[],
  value: unknown,
  known: Readonly<Record<string, unknown>>,
): unknown {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  const inner = getNullableType(type);
  if (isListType(inner)) return [valueWith(inner.ofType, rest, value, known)];
  if (!isInputObjectType(inner)) throw new Error(`There is no way into ${String(inner)}.`);
  return Object.fromEntries(
    Object.values(inner.getFields())
      .filter(
        (field) =>
          field.name === step || isRequiredInputField(field) || Object.hasOwn(known, `${inner.name}.${field.name}`),
      )
      .map((field) => [
        field.name,
        field.name === step
          ? valueWith(field.type, rest, value, known)
          : valueOf(field.type, `${inner.name}.${field.name}`, known),
      ]),
  );
}

const scalars: Readonly<Record<string, unknown>> = {
  ID: 'some-id',
  String: 'some',
  Int: 1,
  Float: 1,
  Boolean: true,
  DateTime: '2026-01-01T00:00:00Z',
  Duration: 'PT1M',
  JSON: {},
};

function valueOf(type: GraphQLInputType, declaration: string, known: Readonly<Record<string, unknown>>): unknown {
  if (Object.hasOwn(known, declaration)) return known[declaration];
  if (isNonNullType(type)) return valueOf(type.ofType, declaration, known);
  if (isListType(type)) return [valueOf(type.ofType, declaration, known)];
  if (isEnumType(type)) return type.getValues()[0]?.value;
  if (isInputObjectType(type))
    return Object.fromEntries(
      Object.values(type.getFields())
        .filter(isRequiredInputField)
        .map((field) => [field.name, valueOf(field.type, `${type.name}.${field.name}`, known)]),
    );
  return scalars[type.name];
}
