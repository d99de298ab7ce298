/**
 * Automatic persisted queries: a client sends the SHA-256 of its operation, and the text only when the gateway doesn't know it
 * yet. What is kept is bounded, and is kept under nothing but its own hash: nobody can put a text in another's place.
 * Source: https://www.apollographql.com/docs/apollo-server/performance/apq
 */
import { createHash } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { LRUCache } from 'lru-cache';
import { FleetgraphError } from '../../platform/errors.js';
import type { CacheObserver } from '../gateway-metrics.js';
import type { KnownOperations } from '../guards/known-operations.js';
import { isRecord, type HttpParameters } from './http-request.js';

export interface PersistedQueries {
  /** The text of the operation. @throws GraphQLError PERSISTED_QUERY_NOT_FOUND, FleetgraphError BAD_USER_INPUT */
  textOf(parameters: Pick<HttpParameters, 'query' | 'documentId' | 'extensions'>): string;
}

/** Characters of texts that are kept in all. */
const maxKeptCharacters = 4_000_000;

/** @param known operations that every client may ask for by their id, whether one has sent their text before or not */
export function createPersistedQueries(known: KnownOperations | undefined, observer?: CacheObserver): PersistedQueries {
  const texts = new LRUCache<string, string>({
    maxSize: maxKeptCharacters,
    sizeCalculation: (text, hash) => text.length + hash.length,
    dispose(_text, _hash, reason) {
      if (reason === 'evict') observer?.evicted();
    },
  });
  return {
    textOf({ query, documentId, extensions }) {
      const hash = hashIn(extensions);
      const text = query === undefined ? known?.byId.get(hash ?? documentId ?? '') : undefined;
      if (text !== undefined) return text;
      if (hash === undefined) {
        if (query === undefined && documentId !== undefined)
          throw new FleetgraphError(
            'NOT_FOUND',
            `The gateway knows no operation with the id "${documentId.slice(0, 80)}".`,
          );
        if (query === undefined)
          throw new FleetgraphError('BAD_USER_INPUT', '"query" is to be the text of an operation.');
        return query;
      }
      if (query === undefined) {
        const sent = texts.get(hash);
        if (sent === undefined) observer?.miss();
        else observer?.hit();
        if (sent !== undefined) return sent;
        throw new GraphQLError('PersistedQueryNotFound', { extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } });
      }
      if (texts.has(hash) && texts.get(hash) === query) return query;
      if (createHash('sha256').update(query).digest('hex') !== hash)
        throw new FleetgraphError(
          'BAD_USER_INPUT',
          '"extensions.persistedQuery.sha256Hash" is not the SHA-256 of "query" in lower-case hexadecimal digits.',
        );
      texts.set(hash, query);
      return query;
    },
  };
}

function hashIn(extensions: Readonly<Record<string, unknown>>): string | undefined {
  const given = extensions['persistedQuery'];
  if (given === undefined || given === null) return undefined;
  if (!isRecord(given) || given['version'] !== 1 || typeof given['sha256Hash'] !== 'string')
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      '"extensions.persistedQuery" is to be { "version": 1, "sha256Hash": "…" }.',
    );
  return given['sha256Hash'];
}
