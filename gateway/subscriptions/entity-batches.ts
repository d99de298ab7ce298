/**
 * Entities that several events need in one turn of the event loop, fetched together: an event of each of a thousand devices is one
 * request for a thousand names. Fetches are put together when they ask the same subgraph for the same fields with the authority
 * of the same tenant and scopes; an entity that several of them name is asked for once.
 */
import type { GraphQLDataSource, GraphQLDataSourceProcessOptions } from '@apollo/gateway';
import type { GraphQLFormattedError } from 'graphql';
import type { GatewayContext } from '../request-context.js';
import type { SubgraphSources } from '../supergraph/subgraph-sources.js';

type ProcessOptions = GraphQLDataSourceProcessOptions;
type Response = Awaited<ReturnType<GraphQLDataSource['process']>>;

interface Waiting {
  readonly options: ProcessOptions;
  readonly representations: readonly unknown[];
  readonly resolve: (response: Response) => void;
  readonly reject: (error: unknown) => void;
}

/** Entities in one request, at most; a fetch that has more goes alone. */
const maxEntities = 1_000;

/** The sources, with fetches of entities put together. */
export function batchEntities(sources: SubgraphSources): SubgraphSources {
  const batched = new Map<string, GraphQLDataSource>();
  return {
    of(name) {
      const known = batched.get(name);
      if (known) return known;
      const made = batchedSource(sources.of(name));
      batched.set(name, made);
      return made;
    },
  };
}

function batchedSource(source: GraphQLDataSource): GraphQLDataSource {
  let waiting = new Map<string, Waiting[]>();
  const flush = (): void => {
    const groups = waiting;
    waiting = new Map();
    for (const group of groups.values()) for (const part of partsOf(group)) void fetchTogether(source, part);
  };
  return {
    process(options) {
      const { representations, ...variables } = options.request.variables ?? {};
      if (!Array.isArray(representations)) return source.process(options);
      return new Promise((resolve, reject) => {
        const key = JSON.stringify([options.request.query, variables, authorityOf(options)]);
        const group = waiting.get(key);
        const entry: Waiting = { options, representations: representations as readonly unknown[], resolve, reject };
        if (waiting.size === 0) setImmediate(flush);
        if (group) group.push(entry);
        else waiting.set(key, [entry]);
      });
    },
  };
}

function authorityOf({ context }: ProcessOptions): unknown {
  const { identity, forwarded } = context as unknown as Partial<GatewayContext>;
  return identity ? [identity.tenant, [...identity.scopes].sort()] : forwarded;
}

function partsOf(group: readonly Waiting[]): Waiting[][] {
  const parts: Waiting[][] = [];
  let size = Infinity;
  for (const entry of group) {
    size += entry.representations.length;
    if (size > maxEntities) {
      parts.push([]);
      size = entry.representations.length;
    }
    parts.at(-1)?.push(entry);
  }
  return parts;
}

async function fetchTogether(source: GraphQLDataSource, part: readonly Waiting[]): Promise<void> {
  const [first] = part;
  if (!first) return;
  try {
    if (part.length === 1) {
      first.resolve(await source.process(first.options));
      return;
    }
    const places = new Map<string, number>();
    const distinct: unknown[] = [];
    const placesOf = part.map(({ representations }) =>
      representations.map((representation) => {
        const key = JSON.stringify(representation);
        const known = places.get(key);
        if (known !== undefined) return known;
        const place = distinct.push(representation) - 1;
        places.set(key, place);
        return place;
      }),
    );
    const { options } = first;
    const response = await source.process({
      ...options,
      request: { ...options.request, variables: { ...options.request.variables, representations: distinct } },
    });
    part.forEach((entry, index) => entry.resolve(shareOf(response, placesOf[index] ?? [])));
  } catch (error) {
    for (const { reject } of part) reject(error);
  }
}

/** What of the response belongs to the entities in these places. */
function shareOf(response: Response, places: readonly number[]): Response {
  const entities = (response.data as { readonly _entities?: readonly unknown[] } | null | undefined)?._entities;
  const errors = (response.errors ?? []).flatMap((error): GraphQLFormattedError[] => {
    const [root, place, ...rest] = error.path ?? [];
    if (root !== '_entities' || typeof place !== 'number') return [error];
    return places.flatMap((own, index) => (own === place ? [{ ...error, path: ['_entities', index, ...rest] }] : []));
  });
  return {
    ...response,
    data: entities ? { _entities: places.map((place) => entities[place] ?? null) } : response.data,
    ...(errors.length > 0 ? { errors } : { errors: undefined }),
  } as Response;
}
