/**
 * How errors of subgraphs are shown to clients: in their own words only where the gateway is
 * set to do so.
 */
import type { GraphQLFormattedError } from 'graphql';
import type { FormatError } from '../../present-error.js';

/** The cause of a failure that a subgraph has told of, as opposed to one of the gateway's own. No Error: a stack costs, and says nothing. */
export class ErrorOfSubgraph {
  /** In the words of the subgraph. */
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
    const { path } = formatted;
    const { message, extensions } = error;
    return { message, ...(path ? { path } : {}), ...(extensions ? { extensions: withoutTraces(extensions) } : {}) };
  };
}

/**
 * The extension `code` of an error about a value that a subgraph gave, and that does not fit the
 * schema.
 */
export const misfitCode = 'INVALID_VALUE_OF_SUBGRAPH';

/**
 * What `format` masks, with whose fault it is: in front of subgraphs of other makers, a fault of
 * one of them is none of the gateway.
 */
export function namingSubgraphs(format: FormatError): FormatError {
  return (formatted, error) => {
    const shown = format(formatted, error);
    if (shown.extensions?.['code'] !== 'INTERNAL_SERVER_ERROR') return shown;
    const { serviceName, code } = formatted.extensions ?? {};
    if (typeof serviceName === 'string')
      return { ...shown, message: `Something went wrong inside the subgraph "${serviceName}". The log has the cause.` };
    if (code === misfitCode)
      return { ...shown, message: 'A subgraph gave a value that does not fit the schema. The log has the cause.' };
    return shown;
  };
}

/** Where in a subgraph's code it was helps nobody outside of it. */
function withoutTraces(extensions: NonNullable<GraphQLFormattedError['extensions']>): Record<string, unknown> {
  const { stacktrace: _trace, exception: _exception, ...told } = extensions;
  return told;
}
