/**
 * How many errors one answer has. A field that fails in each element of a long list has as many errors as the list is long, and
 * nobody reads more than a few.
 */
import type { GraphQLFormattedError } from 'graphql';

export function boundedErrors(errors: readonly GraphQLFormattedError[], max: number): readonly GraphQLFormattedError[] {
  if (errors.length <= max) return errors;
  const [first] = errors;
  const message = `There are ${errors.length - max} more errors; an answer tells of ${max}.`;
  return [
    ...errors.slice(0, max),
    {
      message,
      ...(first?.extensions?.['code'] === undefined ? {} : { extensions: { code: first.extensions['code'] } }),
    },
  ];
}
