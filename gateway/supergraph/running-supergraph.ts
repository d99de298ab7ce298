/**
 * The supergraph that the gateway runs now, and how it comes to have the next one: that is built and made ready first, beside
 * the work that goes on, and is then there for every operation from one moment to the next. One that can't be built or used
 * changes nothing (supergraph-updates.ts). Where subgraphs are is asked at each fetch, so that also what was planned before, a subscription
 * that has run for days, finds one that has moved.
 */
import { messageOf, StartupError } from '../../platform/errors.js';
import type { Logger } from '../../platform/observability/logger.js';
import { buildSupergraph, securityFeatures, type Supergraph } from './supergraph.js';
import type { SupergraphSource } from './supergraph-source.js';
import type { SupergraphUpdates } from './supergraph-updates.js';

export interface RunningSupergraph {
  /** @throws Error before the start. */
  readonly current: () => Supergraph;
  /** Address of each subgraph, of former supergraphs too, by its name. */
  readonly urls: Readonly<Record<string, () => string>>;
  /** Takes the first one. @throws StartupError if it can't be used. */
  start(source: SupergraphSource): Promise<void>;
  /** Takes those that come later, until the function that it returns is called. */
  follow(source: SupergraphSource, prepare: PrepareFor): () => void;
}

/**
 * Makes ready for the next supergraph, until the signal.
 * @returns what is to be done at the moment of the switch.
 */
export type PrepareFor = (next: Supergraph, signal: AbortSignal) => Promise<() => void>;

export function createRunningSupergraph(options: {
  readonly log: Logger;
  readonly updates: SupergraphUpdates;
  /** Whether the gateway knows who calls. */
  readonly verifiesTokens: boolean;
  /** Where the subgraphs are, if not where the supergraph says. */
  readonly subgraphs: Readonly<Record<string, () => string>> | undefined;
  /** How long the plan of one operation may take. */
  readonly planningTimeoutMs: number;
}): RunningSupergraph {
  const { log, updates, subgraphs } = options;
  const addresses = new Map<string, string>();
  const urls: Record<string, () => string> = { ...subgraphs };
  let supergraph: Supergraph | undefined;

  const build = (supergraphSdl: string): Supergraph => {
    const next = buildSupergraph(supergraphSdl, options.planningTimeoutMs);
    const [guarding] = options.verifiesTokens ? [] : securityFeatures(supergraphSdl);
    if (guarding !== undefined)
      throw new StartupError(
        `The supergraph has @${guarding}, so the gateway must know who calls. Set JWKS_URL (with JWT_ISSUER and JWT_AUDIENCE).`,
      );
    for (const [name, url] of subgraphs ? [] : next.subgraphUrls) {
      if (!/^https?:/.test(url) || !URL.canParse(url))
        throw new StartupError(
          `The supergraph has no address of the subgraph "${name}" that can be called: "${url}". Compose it with the URLs of the subgraphs.`,
        );
    }
    return next;
  };
  /** Subgraphs that are new are known from now on, for what is made ready; where the others are, from the switch on. */
  const meet = (next: Supergraph): void => {
    for (const [name, url] of subgraphs ? [] : next.subgraphUrls) {
      if (!addresses.has(name)) addresses.set(name, url);
      urls[name] ??= () => addresses.get(name) ?? url;
    }
  };
  const take = (next: Supergraph): void => {
    supergraph = next;
    for (const [name, url] of next.subgraphUrls) addresses.set(name, url);
  };

  return {
    urls,
    current() {
      if (!supergraph) throw new Error('The gateway has no supergraph yet.');
      return supergraph;
    },
    async start(source) {
      const first = build(await source.read());
      meet(first);
      take(first);
      updates.applied();
    },
    follow(source, prepare) {
      const stopped = new AbortController();
      let wanted: string | undefined;
      let isAtWork = false;
      const work = async (): Promise<void> => {
        isAtWork = true;
        // What comes while one is made ready is next; of several, the last.
        while (wanted !== undefined && !stopped.signal.aborted) {
          const sdl = wanted;
          wanted = undefined;
          try {
            const next = build(sdl);
            meet(next);
            const switched = await prepare(next, stopped.signal);
            if (stopped.signal.aborted) break;
            take(next);
            switched();
            updates.applied();
            log.info('the gateway has a new supergraph');
          } catch (error) {
            updates.rejected(error instanceof Error ? error : new Error(messageOf(error)));
          }
        }
        isAtWork = false;
      };
      const changed = (sdl: string): void => {
        wanted = sdl;
        if (!isAtWork) void work();
      };
      const unfollow = source.follow(changed, {
        unchanged() {
          if (!isAtWork) updates.unchanged();
        },
        failed: (reason) => updates.failed(reason),
      });
      return () => {
        stopped.abort();
        unfollow();
      };
    },
  };
}
