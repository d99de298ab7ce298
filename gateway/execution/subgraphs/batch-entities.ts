/**
 * Entities that several executions need in one turn of the event loop, fetched together: an event of each of a thousand devices
 * is one request for a thousand names. Fetches are put together when they ask the same subgraph for the same fields, for callers
 * whom it answers alike (`authorityOf`); an entity that several of them name is asked for once.
 */
import { authorityOf } from '../../../platform/identity/identity.js';
import type { GatewayContext } from '../../request-context.js';
import { copyOf } from '../json.js';
import type { SubgraphError } from './subgraph-error.js';
import type { Subgraph, SubgraphRequest, SubgraphResponse, Subgraphs } from './subgraph.js';

interface Waiting {
  readonly request: SubgraphRequest;
  readonly representations: readonly string[];
  readonly resolve: (response: SubgraphResponse) => void;
  readonly reject: (error: unknown) => void;
}

/** Entities in one request, at most; a fetch that has more goes alone. */
const maxEntities = 1_000;

/** The subgraphs, with fetches of entities put together. */
export function batchEntities(subgraphs: Subgraphs): Subgraphs {
  const batched = new Map<string, Subgraph>();
  return {
    of(name) {
      const known = batched.get(name);
      if (known) return known;
      const made = batchedSubgraph(subgraphs.of(name));
      batched.set(name, made);
      return made;
    },
  };
}

function batchedSubgraph(subgraph: Subgraph): Subgraph {
  let waiting = new Map<string, Waiting[]>();
  const flush = (): void => {
    const groups = waiting;
    waiting = new Map();
    for (const group of groups.values()) for (const part of partsOf(group)) void fetchTogether(subgraph, part);
  };
  return {
    name: subgraph.name,
    fetch(request) {
      const { representations, operation, variables, context } = request;
      if (!representations) return subgraph.fetch(request);
      return new Promise((resolve, reject) => {
        const key = JSON.stringify([operation.query, variables, callerOf(context)]);
        const group = waiting.get(key);
        const entry: Waiting = { request, representations, resolve, reject };
        if (waiting.size === 0) setImmediate(flush);
        if (group) group.push(entry);
        else waiting.set(key, [entry]);
      });
    },
  };
}

function callerOf({ identity, forwarded }: GatewayContext): unknown {
  return identity ? [identity.tenant, authorityOf(identity)] : forwarded;
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

async function fetchTogether(subgraph: Subgraph, part: readonly Waiting[]): Promise<void> {
  const [first] = part;
  if (!first) return;
  try {
    if (part.length === 1) {
      first.resolve(await subgraph.fetch(first.request));
      return;
    }
    const places = new Map<string, number>();
    const distinct: string[] = [];
    const placesOf = part.map(({ representations }) =>
      representations.map((representation) => {
        const known = places.get(representation);
        if (known !== undefined) return known;
        const place = distinct.push(representation) - 1;
        places.set(representation, place);
        return place;
      }),
    );
    const { reader: _ofOne, ...request } = first.request;
    const response = await subgraph.fetch({ ...request, representations: distinct });
    const given = new Set<number>();
    part.forEach((entry, index) => {
      const share = shareOf(response, { places: placesOf[index] ?? [], count: distinct.length, given });
      const { reader } = entry.request;
      entry.resolve(reader && share.data ? { ...share, data: reader.fromValues(share.data) } : share);
    });
  } catch (error) {
    for (const { reject } of part) reject(error);
  }
}

/**
 * What of the response belongs to the entities in these places.
 * @param count entities that were asked for
 * @param given those that somebody has: others get copies
 */
function shareOf(
  response: SubgraphResponse,
  { places, count, given }: { readonly places: readonly number[]; readonly count: number; readonly given: Set<number> },
): SubgraphResponse {
  const entities = response.data?.['_entities'] as readonly unknown[] | undefined;
  const errors = (response.errors ?? []).flatMap((error): SubgraphError[] => {
    const [root, place, ...rest] = error.path ?? [];
    if (root !== '_entities' || typeof place !== 'number') return [error];
    // Of no entity that was asked for: reported to every caller, as one without a place.
    if (place >= count) return [{ ...error, path: ['_entities', ...rest] }];
    return places.flatMap((own, index) => (own === place ? [{ ...error, path: ['_entities', index, ...rest] }] : []));
  });
  const own = (place: number): unknown => {
    const entity = entities?.[place] ?? null;
    if (given.has(place)) return copyOf(entity);
    given.add(place);
    return entity;
  };
  return {
    data: entities ? { _entities: places.map(own) } : (response.data ?? null),
    ...(errors.length > 0 ? { errors } : {}),
  };
}
