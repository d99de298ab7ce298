/** What subgraphs say went wrong: told to clients as it is only where the gateway is set to do so. */
import type { GraphQLFormattedError } from 'graphql';
import type { FormatError } from '../../present-error.js';

/** The cause of a failure that a subgraph has told of, as opposed to one of the gateway's own. No Error: a stack costs, and says nothing. */
export class ErrorOfSubgraph {
  readonly message: string;
  readonly extensions: GraphQLFormattedError['extensions'];

  constructor({ message, extensions }: GraphQLFormattedError) {
    this.message = message;
    this.extensions = extensions;
  }
}

/** Errors of subgraphs with their messages and extensions, whatever their code; all others as `format` has them. */
export function withErrorsOfSubgraphs(format: FormatError): FormatError {
  return (formatted, error) => {
    if (!(error instanceof ErrorOfSubgraph)) return format(formatted, error);
    const { message, path, extensions } = formatted;
    return { message, ...(path ? { path } : {}), ...(extensions ? { extensions: withoutTraces(extensions) } : {}) };
  };
}

/** Where in a subgraph's code it was helps nobody outside of it. */
function withoutTraces(extensions: NonNullable<GraphQLFormattedError['extensions']>): Record<string, unknown> {
  const { stacktrace: _trace, exception: _exception, ...told } = extensions;
  return told;
}
