/**
 * The supergraph of subgraphs that run: each is asked for its SDL (`_service { sdl }` of the federation specification), they are
 * composed, and asked again and again. @apollo/gateway does that well; plans are executed by ours.
 */
import { IntrospectAndCompose, RemoteGraphQLDataSource } from '@apollo/gateway';
import { messageOf, StartupError } from '../../platform/errors.js';
import { untilAvailable } from '../../platform/lifecycle/until-available.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { SupergraphSource } from './supergraph-source.js';

export interface RunningSubgraph {
  readonly name: string;
  readonly url: string;
}

/**
 * @param options.intervalMs how long after an answer they are asked again (default 5,000).
 * @param options.patienceMs how long the start waits for subgraphs that are not there yet (default 60,000).
 */
export function composedSupergraph(
  subgraphs: readonly RunningSubgraph[],
  options: { readonly log: Logger; readonly intervalMs?: number; readonly patienceMs?: number },
): SupergraphSource {
  const { log, intervalMs = 5_000, patienceMs = 60_000 } = options;
  const followers = new Set<(supergraphSdl: string) => void>();
  let endPolling: (() => Promise<void>) | undefined;

  const compose = async (): Promise<string> => {
    const manager = new IntrospectAndCompose({
      subgraphs: subgraphs.map((subgraph) => ({ ...subgraph })),
      pollIntervalInMs: intervalMs,
    });
    const { supergraphSdl, cleanup } = await manager.initialize({
      update: (changed) => followers.forEach((follower) => follower(changed)),
      healthCheck: async () => undefined,
      getDataSource: ({ url = '' }) => withDeadline(new RemoteGraphQLDataSource({ url }), intervalMs),
    });
    endPolling = cleanup;
    return supergraphSdl;
  };

  return {
    async read() {
      try {
        return await untilAvailable('the subgraphs', compose, { log, timeoutMs: patienceMs, isAway: isNoAnswer });
      } catch (error) {
        throw new StartupError(`No supergraph can be made of the subgraphs: ${messageOf(error)}`, { cause: error });
      }
    },
    follow(changed) {
      followers.add(changed);
      return () => {
        followers.delete(changed);
        if (followers.size === 0) void endPolling?.();
      };
    },
  };
}

/** Subgraphs that answer and don't compose won't do so by waiting. */
function isNoAnswer(error: unknown): boolean {
  return !messageOf(error).includes('composition errors');
}

/** Apollo's fetcher would wait for ever. */
function withDeadline(source: RemoteGraphQLDataSource, timeoutMs: number): RemoteGraphQLDataSource {
  const unbounded = source.fetcher;
  source.fetcher = (address, init) => unbounded(address, { ...init, signal: AbortSignal.timeout(timeoutMs) });
  return source;
}
