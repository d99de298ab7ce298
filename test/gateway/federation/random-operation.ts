/**
 * Queries that nobody would think of: fields of any depth, under aliases that collide with other fields, in fragments, behind
 * `@include` and `@skip` with literals and with variables. What is not valid is made again.
 */
import fc from 'fast-check';
import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isObjectType,
  parse,
  validate,
  type GraphQLArgument,
  type GraphQLCompositeType,
  type GraphQLSchema,
} from 'graphql';

export interface RandomOperation {
  readonly query: string;
  readonly variables: Readonly<Record<string, boolean>>;
}

/** Literals for arguments, by the name of the argument; enums need none. */
export type ArgumentLiterals = Readonly<Record<string, readonly string[]>>;

interface Making {
  readonly schema: GraphQLSchema;
  readonly literals: ArgumentLiterals;
  /** A whole number below `bound`. */
  readonly below: (bound: number) => number;
  readonly fragments: string[];
}

/** @param literals values for arguments that are required and no enums. */
export function randomOperation(schema: GraphQLSchema, literals: ArgumentLiterals = {}): fc.Arbitrary<RandomOperation> {
  return fc
    .tuple(fc.array(fc.nat(2 ** 20), { minLength: 200, maxLength: 200 }), fc.boolean(), fc.boolean())
    .map(([numbers, yes, no]) => {
      let at = 0;
      const below = (bound: number): number => (numbers[at++ % numbers.length] ?? 0) % bound;
      return { query: write({ schema, literals, below, fragments: [] }), variables: { yes, no } };
    })
    .filter(({ query }) => validate(schema, parse(query)).length === 0);
}

function write(making: Making): string {
  const root = making.schema.getQueryType();
  if (!root) throw new Error('The schema has no Query.');
  const body = selectionSet(making, root, 4);
  const all = [body, ...making.fragments].join(' ');
  const variables = ['yes', 'no'].filter((name) => all.includes(`$${name}`)).map((name) => `$${name}: Boolean!`);
  return `query ${variables.length > 0 ? `(${variables.join(', ')})` : ''} ${all}`;
}

function selectionSet(making: Making, type: GraphQLCompositeType, depth: number): string {
  const parts = Array.from({ length: 1 + making.below(4) }, () => selection(making, type, depth)).filter(Boolean);
  return `{ ${parts.length > 0 ? parts.join(' ') : '__typename'} }`;
}

function selection(making: Making, type: GraphQLCompositeType, depth: number): string {
  const { schema, below } = making;
  const kind = below(12);
  if (kind === 0) return `${['', 'kind: '][below(2)]}__typename${condition(making)}`;
  if (kind <= 3 && depth > 0) {
    const possible = isAbstractType(type) ? schema.getPossibleTypes(type) : [type];
    const around = isObjectType(type) ? type.getInterfaces() : [];
    const candidates = [type, ...possible, ...around];
    const on = candidates[below(candidates.length)] ?? type;
    const set = selectionSet(making, on, depth - 1);
    if (kind === 1) {
      const name = `F${making.fragments.length}`;
      making.fragments.push(`fragment ${name} on ${on.name} ${set}`);
      return `...${name}${condition(making)}`;
    }
    return `... ${on === type && below(2) === 0 ? '' : `on ${on.name}`}${condition(making)} ${set}`;
  }
  if (!('getFields' in type)) return '';
  const fields = Object.values(type.getFields());
  const field = fields[below(fields.length)];
  if (!field) return '';
  const inner = getNamedType(field.type);
  if (isCompositeType(inner) && depth === 0) return '';
  // An alias that is the name of another field is the one that goes wrong.
  const alias =
    below(4) === 0 ? `${[...fields.map(({ name }) => name), 'other'][below(fields.length + 1)] ?? ''}: ` : '';
  const set = isCompositeType(inner) ? ` ${selectionSet(making, inner, depth - 1)}` : '';
  return `${alias}${field.name}${argumentsOf(making, field.args)}${condition(making)}${set}`;
}

function argumentsOf({ literals, below }: Making, args: readonly GraphQLArgument[]): string {
  const given = args.flatMap(({ name, type }) => {
    const named = getNamedType(type);
    const values = isEnumType(named) ? named.getValues().map((value) => value.name) : (literals[name] ?? []);
    const value = values[below(values.length || 1)];
    return value === undefined ? [] : [`${name}: ${value}`];
  });
  return given.length > 0 ? `(${given.join(', ')})` : '';
}

function condition({ below }: Making): string {
  if (below(8) !== 0) return '';
  return [
    ' @include(if: $yes)',
    ' @skip(if: $no)',
    ' @include(if: true)',
    ' @skip(if: false)',
    ' @skip(if: $no) @include(if: $yes)',
    ' @include(if: false)',
  ][below(6)] as string;
}
