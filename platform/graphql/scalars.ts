import { GraphQLError, GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import { DateTimeResolver, DurationResolver, JSONResolver } from 'graphql-scalars';
import { exactNumber } from '../json/exact-json.js';
import { roundedFault } from './lossless-variables.js';

/** A reading's value: finite number, boolean or string of at most 1,024 characters. */
const MetricValue = new GraphQLScalarType({
  name: 'MetricValue',
  description: 'A finite number, a boolean or a short string.',
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral(node) {
    switch (node.kind) {
      case Kind.INT:
      case Kind.FLOAT:
        return Number(node.value);
      case Kind.BOOLEAN:
      case Kind.STRING:
        return node.value;
      default:
        throw new TypeError('A MetricValue is a number, a boolean or a string.');
    }
  },
});

/** Any JSON value. A literal that would be stored otherwise than it is written is refused; so are variables, before they get here. */
const Json = new GraphQLScalarType({
  ...JSONResolver.toConfig(),
  parseLiteral(node, variables): unknown {
    refuseInexact(node);
    return JSONResolver.parseLiteral(node, variables);
  },
});

/** @throws GraphQLError for a number that would be rounded. */
function refuseInexact(node: ValueNode): void {
  switch (node.kind) {
    case Kind.INT:
    case Kind.FLOAT:
      if (typeof exactNumber(node.value) === 'number') return;
      throw new GraphQLError(`A JSON value has the number ${node.value}, ${roundedFault}`, { nodes: node });
    case Kind.LIST:
      node.values.forEach(refuseInexact);
      return;
    case Kind.OBJECT:
      for (const { value } of node.fields) refuseInexact(value);
  }
}

/** Resolvers of the custom scalars; a subgraph takes those that its schema declares. */
export const scalarResolvers: Readonly<Record<string, GraphQLScalarType>> = {
  DateTime: DateTimeResolver,
  Duration: DurationResolver,
  JSON: Json,
  MetricValue,
};
