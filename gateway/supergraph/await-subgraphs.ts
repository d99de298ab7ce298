/**
 * Waits until each subgraph has answered once: until then a gateway can't do its work, and no balancer should send to it.
 * Asked is the address that requests will go to, for the cheapest of operations and without a token: being refused by the
 * subgraph is an answer, too. Whether the subgraph can do its work is not asked, for that comes and goes with its database
 * and its bus: its own readiness says so, and its part of an answer.
 * Invariant: who has answered is not asked again. A gateway that has lost a subgraph gives the rest of the graph, so it stays
 * ready: else all gateways would leave the balancer at once.
 */
import { codeOf, messageOf } from '../../platform/errors.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';

export interface SubgraphsAwaited {
  /** Resolves when each has been asked once, whatever came of it. */
  readonly asked: Promise<void>;
  /** @throws Error that names each subgraph without an answer so far, with the reason. */
  check(): void;
  /** Asks no more. Resolves when no request is under way. */
  stop(): Promise<void>;
}

const notAsked = 'it has not been asked yet';

/** Begins to ask all of `urls` (of /graphql, by the subgraph's name), each until it answers. */
export function awaitSubgraphs(options: {
  readonly urls: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** Milliseconds that one attempt may take (default 2,000). */
  readonly attemptTimeoutMs?: number;
  /** Most milliseconds between two attempts (default 2,000). */
  readonly maxPauseMs?: number;
}): SubgraphsAwaited {
  const { log, attemptTimeoutMs = 2_000, maxPauseMs = 2_000 } = options;
  const stopped = new AbortController();
  /** Why there is no answer, by subgraph. */
  const missing = new Map<string, string>();

  const attempt = async (name: string, url: string): Promise<void> => {
    try {
      await ask(url, attemptTimeoutMs, stopped.signal);
    } catch (error) {
      if (stopped.signal.aborted) return;
      const reason = reasonOf(error);
      if (missing.get(name) !== reason) log.info({ subgraph: name, reason }, 'waiting for a subgraph');
      missing.set(name, reason);
      return;
    }
    if (missing.get(name) !== notAsked) log.info({ subgraph: name }, 'the subgraph answers');
    missing.delete(name);
  };
  const again = async (name: string, url: string): Promise<void> => {
    for (let tries = 0; missing.has(name) && !stopped.signal.aborted; tries += 1) {
      // Never none: jitter alone could ask one that refuses at once over and over.
      await pause(maxPauseMs / 40 + backoffMs(tries, maxPauseMs / 20, maxPauseMs), stopped.signal);
      if (!stopped.signal.aborted) await attempt(name, url);
    }
  };

  const addresses = Object.entries(options.urls).map(([name, url]) => [name, withoutCredentials(url)] as const);
  for (const [name] of addresses) missing.set(name, notAsked);
  const firstAttempts = addresses.map(([name, url]) => attempt(name, url));
  const done = Promise.all(
    addresses.map(async ([name, url], index) => {
      await firstAttempts[index];
      await again(name, url);
    }),
  );
  return {
    asked: Promise.all(firstAttempts).then(() => undefined),
    check() {
      if (missing.size === 0) return;
      const each = addresses
        .filter(([name]) => missing.has(name))
        .map(([name, url]) => `"${name}" at ${url} (${missing.get(name) ?? ''})`);
      throw new Error(`waiting for the first answer of the subgraph ${each.join(', and of ')}`);
    },
    async stop() {
      stopped.abort();
      await done;
    },
  };
}

/** @throws Error with the reason if what is at `address` does not answer as a GraphQL server that works. */
async function ask(address: string, timeoutMs: number, stopped: AbortSignal): Promise<void> {
  const ended = new AbortController();
  // Not AbortSignal.any: what it makes of a signal that lives long is kept as long.
  const end = (): void => ended.abort();
  stopped.addEventListener('abort', end, { once: true });
  const timer = setTimeout(() => ended.abort(new UnusableAnswer(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    await askUntil(address, ended.signal);
  } catch (error) {
    throw ended.signal.aborted ? ended.signal.reason : error;
  } finally {
    clearTimeout(timer);
    stopped.removeEventListener('abort', end);
  }
}

async function askUntil(address: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: '{"query":"{ __typename }"}',
    redirect: 'manual',
    signal,
  });
  const type = response.headers.get('content-type') ?? 'no content type';
  // A balancer in front of the subgraph may say 502 or 503 in its place; GraphQL refuses with 4xx.
  if (response.status >= 500 || !/[/+]json\b/.test(type)) {
    await response.body?.cancel();
    throw new UnusableAnswer(`it answers ${response.status} with ${type.slice(0, 100)}, not GraphQL`);
  }
  const body: unknown = await response.json().catch((error: unknown) => {
    throw error instanceof SyntaxError
      ? new UnusableAnswer('it answers with JSON that is cut off or malformed')
      : error;
  });
  if (typeof body !== 'object' || body === null || !('data' in body || 'errors' in body))
    throw new UnusableAnswer(`it answers ${response.status} with JSON that is not GraphQL`);
}

class UnusableAnswer extends Error {}

/** For people: what went wrong, and nothing of the address, which is named beside it. */
function reasonOf(error: unknown): string {
  // fetch says "fetch failed" and has the reason in its cause.
  const cause = error instanceof Error ? error.cause : undefined;
  return codeOf(cause) ?? messageOf(cause ?? error);
}

/** As it may be shown, and as `fetch` takes it: without user name and password. */
function withoutCredentials(address: string): string {
  const url = new URL(address);
  url.username = '';
  url.password = '';
  return url.href;
}
