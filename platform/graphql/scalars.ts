import { GraphQLScalarType, Kind } from 'graphql';
import { DateTimeResolver, DurationResolver, JSONResolver } from 'graphql-scalars';

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

/** Resolvers of the custom scalars; a subgraph takes those that its schema declares. */
export const scalarResolvers: Readonly<Record<string, GraphQLScalarType>> = {
  DateTime: DateTimeResolver,
  Duration: DurationResolver,
  JSON: JSONResolver,
  MetricValue,
};
