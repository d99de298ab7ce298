/** A subscriber as docs/subscriptions.md tells clients to be: it comes back with its last cursor until it is stopped. */
import type { FormattedExecutionResult } from 'graphql';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { pause } from '../../../platform/lifecycle/wait.js';

export interface ResumingSubscription<Payload> {
  /** Every payload of all connections, in the order in which they came. */
  readonly payloads: readonly Payload[];
  /** Why each connection or operation before the present one ended: a close code, or the code of an error. */
  readonly endings: readonly (number | string)[];
  stop(): Promise<void>;
}

/**
 * Subscribes at the first of `urls` and, whenever that ends, at the next. `query` takes `$since`.
 * @param urls - of gateways, `http://host:port`.
 */
export function subscribeResuming<Payload extends { readonly cursor: string }>(options: {
  readonly urls: readonly string[];
  readonly token: string;
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
}): ResumingSubscription<Payload> {
  const payloads: Payload[] = [];
  const endings: (number | string)[] = [];
  let stopped = false;
  let endCurrent: () => void = () => undefined;

  const once = (url: string): Promise<number | string> =>
    new Promise((resolve) => {
      let ending: number | string | undefined;
      const client = createClient({
        url: `${url.replace(/^http/, 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams: { authorization: `Bearer ${options.token}` },
        retryAttempts: 0,
        on: {
          closed: (event) => {
            ending ??= (event as { code: number }).code;
            resolve(ending);
          },
        },
      });
      endCurrent = () => {
        void client.dispose();
      };
      client.subscribe<Record<string, Payload>>(
        { query: options.query, variables: { ...options.variables, since: payloads.at(-1)?.cursor } },
        {
          next: ({ data, errors }: FormattedExecutionResult<Record<string, Payload>, unknown>) => {
            const [payload] = Object.values(data ?? {});
            if (payload && !errors) payloads.push(payload);
          },
          error: (error) => {
            const code = Array.isArray(error)
              ? (error as { extensions?: { code?: string } }[])[0]?.extensions?.code
              : (error as { code?: number }).code;
            ending ??= code ?? 'no connection';
            void client.dispose();
            resolve(ending);
          },
          complete: () => undefined,
        },
      );
    });

  const running = (async () => {
    for (let turn = 0; !stopped; turn += 1) {
      const ending = await once(options.urls[turn % options.urls.length] ?? '');
      if (!stopped) {
        endings.push(ending);
        await pause(100);
      }
    }
  })();
  return {
    payloads,
    endings,
    async stop() {
      stopped = true;
      endCurrent();
      await running;
    },
  };
}
