/** What a subgraph says went wrong, in the words of the whole graph: with the path in the client's answer. */
import type { FetchDataRewrite } from '@apollo/query-planner';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { messageOf } from '../../../platform/errors.js';
import type { Failure } from '../run.js';
import { ErrorOfSubgraph } from '../subgraphs/errors-of-subgraphs.js';
import { knownPath, type ResponsePath } from './flatten-path.js';

/** Of an entity that is in very many places, so many are told. */
const maxPlaces = 25;

export interface FailureOptions {
  readonly subgraph: string;
  /** Of the fetch in the plan. */
  readonly path: ResponsePath;
  readonly outputRewrites: readonly FetchDataRewrite[] | undefined;
  /** What the client calls a field that has another name in the plan. */
  readonly clientNames: ReadonlyMap<string, string>;
}

/** @param pathsOf where the entity with this index is; of a fetch that has no entities: where its data goes. */
export function failuresOf(
  errors: readonly GraphQLFormattedError[],
  options: FailureOptions & { readonly isOfEntities: boolean },
  pathsOf: (index: number | undefined) => readonly ResponsePath[],
): Failure[] {
  return errors.flatMap((error) => {
    const { message, path: given, extensions } = error;
    const known = {
      message: typeof message === 'string' && message !== '' ? message : `The subgraph "${options.subgraph}" failed.`,
      extensions: { code: 'DOWNSTREAM_SERVICE_ERROR', ...extensions, serviceName: options.subgraph },
    };
    return pathsIn(Array.isArray(given) ? given : undefined, options, pathsOf).map((path) => {
      const formatted = path ? { ...known, path: named(path, options) } : known;
      return { error: formatted, cause: new ErrorOfSubgraph(formatted) };
    });
  });
}

function pathsIn(
  given: ResponsePath | undefined,
  options: FailureOptions & { readonly isOfEntities: boolean },
  pathsOf: (index: number | undefined) => readonly ResponsePath[],
): readonly (ResponsePath | undefined)[] {
  const index = given?.[1];
  if (given === undefined || (options.isOfEntities && typeof index !== 'number')) return [knownPath(options.path)];
  const rest = (options.isOfEntities ? given.slice(2) : given).map((element) => originalName(element, options));
  const bases = pathsOf(options.isOfEntities ? (index as number) : undefined).slice(0, maxPlaces);
  return bases.length === 0 ? [knownPath(options.path)] : bases.map((base) => [...base, ...rest]);
}

/** The path in the names of the client. */
function named(path: ResponsePath, { clientNames }: Pick<FailureOptions, 'clientNames'>): (string | number)[] {
  return path.map((element) => (typeof element === 'string' ? (clientNames.get(element) ?? element) : element));
}

/** The client's name of a field that the plan gave another one. */
function originalName(element: string | number, { outputRewrites }: FailureOptions): string | number {
  const rewrite = outputRewrites?.find(({ kind, path }) => kind === 'KeyRenamer' && path.at(-1) === element);
  return rewrite?.kind === 'KeyRenamer' ? rewrite.renameKeyTo : element;
}

/** There is no answer, or none that can be used. */
export function failureOfFetch(error: unknown, options: Pick<FailureOptions, 'path' | 'clientNames'>): Failure {
  const known = knownPath(options.path);
  return {
    error: {
      message: messageOf(error),
      ...(known ? { path: named(known, options) } : {}),
      ...(error instanceof GraphQLError ? { extensions: { ...error.extensions } } : {}),
    },
    cause: error,
  };
}
