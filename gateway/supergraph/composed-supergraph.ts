/**
 * The supergraph of subgraphs that run: each is asked for its SDL (`_service { sdl }` of the federation specification), they are
 * composed, and asked again and again. A failure is reported at each poll for as long as it lasts, unlike `IntrospectAndCompose` of
 * @apollo/gateway, which composes the same SDL once.
 */
import { composeServices } from '@apollo/composition';
import { RemoteGraphQLDataSource } from '@apollo/gateway';
import { GraphQLDataSourceRequestKind } from '@apollo/gateway/dist/datasources/types.js';
import { parse } from 'graphql';
import { codeOf, messageOf, StartupError } from '../../platform/errors.js';
import { untilAvailable } from '../../platform/lifecycle/until-available.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { SupergraphFollower, SupergraphSource } from './supergraph-source.js';

export interface RunningSubgraph {
  readonly name: string;
  readonly url: string;
}

type Composition = { readonly sdls: string } & ({ readonly supergraphSdl: string } | { readonly failure: Error });

/** The subgraphs have answered, and do not compose: waiting does not help. */
class CompositionFailed extends Error {}

/**
 * @param options.intervalMs how long after an answer they are asked again (default 5,000).
 * @param options.patienceMs how long the start waits for subgraphs that are not there yet (default 60,000).
 */
export function composedSupergraph(
  subgraphs: readonly RunningSubgraph[],
  options: { readonly log: Logger; readonly intervalMs?: number; readonly patienceMs?: number },
): SupergraphSource {
  const { log, intervalMs = 5_000, patienceMs = 60_000 } = options;
  const followers = new Set<SupergraphFollower>();
  let known: Composition | undefined;
  let told: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  const compose = async (): Promise<string> => {
    const sdls = await sdlsOf(subgraphs, intervalMs);
    const key = JSON.stringify(sdls);
    if (known?.sdls !== key) known = { sdls: key, ...composed(subgraphs, sdls) };
    if ('failure' in known) throw known.failure;
    return known.supergraphSdl;
  };
  const poll = async (): Promise<void> => {
    try {
      const supergraphSdl = await compose();
      const isNew = supergraphSdl !== told;
      told = supergraphSdl;
      for (const { changed, polls } of followers) {
        if (isNew) changed(supergraphSdl);
        else polls?.unchanged();
      }
    } catch (error) {
      for (const { polls } of followers) polls?.failed(messageOf(error));
    }
    pollLater();
  };
  const pollLater = (): void => {
    if (followers.size > 0) timer = setTimeout(() => void poll(), intervalMs);
  };

  return {
    async read() {
      try {
        const isAway = (error: unknown): boolean => !(error instanceof CompositionFailed);
        told = await untilAvailable('the subgraphs', compose, { log, timeoutMs: patienceMs, isAway });
        return told;
      } catch (error) {
        throw new StartupError(`No supergraph can be made of the subgraphs: ${messageOf(error)}`, { cause: error });
      }
    },
    follow(changed, polls) {
      const follower = { changed, polls };
      followers.add(follower);
      if (followers.size === 1) pollLater();
      return () => {
        followers.delete(follower);
        if (followers.size === 0) clearTimeout(timer);
      };
    },
  };
}

/** @throws Error that names each subgraph that gives none, and why. */
async function sdlsOf(subgraphs: readonly RunningSubgraph[], timeoutMs: number): Promise<readonly string[]> {
  const answers = await Promise.allSettled(subgraphs.map((subgraph) => sdlOf(subgraph, timeoutMs)));
  const reasons = answers.flatMap((answer, index) =>
    answer.status === 'rejected' ? [`"${subgraphs[index]?.name ?? ''}" (${reasonOf(answer.reason)})`] : [],
  );
  if (reasons.length > 0) throw new Error(`No SDL of the subgraph ${reasons.join(', and of ')}`);
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
}

async function sdlOf({ url }: RunningSubgraph, timeoutMs: number): Promise<string> {
  const source = new RemoteGraphQLDataSource({ url });
  const unbounded = source.fetcher;
  const signal = AbortSignal.timeout(timeoutMs);
  source.fetcher = (address, init) => unbounded(address, { ...init, signal });
  const { data, errors } = await source
    .process({
      kind: GraphQLDataSourceRequestKind.LOADING_SCHEMA,
      context: {},
      request: { query: '{ _service { sdl } }' },
    })
    .catch((error: unknown) => {
      throw signal.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error;
    });
  const [fault] = errors ?? [];
  if (fault) throw new Error(fault.message);
  const { sdl } = (data as { readonly _service?: { readonly sdl?: unknown } } | null | undefined)?._service ?? {};
  if (typeof sdl !== 'string') throw new Error('its answer to { _service { sdl } } has no SDL');
  parse(sdl, { noLocation: true });
  return sdl;
}

/** fetch says "fetch failed", and has the reason in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return codeOf(cause) ?? messageOf(cause ?? error);
}

function composed(
  subgraphs: readonly RunningSubgraph[],
  sdls: readonly string[],
): { readonly supergraphSdl: string } | { readonly failure: Error } {
  const { supergraphSdl, errors } = composeServices(
    subgraphs.map(({ name, url }, index) => ({ name, url, typeDefs: parse(sdls[index] ?? '') })),
  );
  if (supergraphSdl !== undefined) return { supergraphSdl };
  const reasons = (errors ?? []).map(({ message }) => message).join('; ');
  return { failure: new CompositionFailed(`The subgraphs do not compose: ${reasons}`) };
}
