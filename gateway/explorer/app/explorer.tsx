/** The page of the explorer: GraphiQL on the gateway that serves it, subscriptions over WebSocket, examples in its tabs. */
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import 'graphiql/style.css';
import { createClient } from 'graphql-ws';
import { createRoot } from 'react-dom/client';
import { examples } from './examples.js';

Object.assign(globalThis, {
  MonacoEnvironment: {
    getWorker: (_id: string, label: string) =>
      new Worker(label === 'json' || label === 'graphql' ? `${label}.worker.js` : 'editor.worker.js'),
  },
});

/** On a development machine the gateway gives out a token; elsewhere it is typed into the headers. */
async function developmentToken(): Promise<string | undefined> {
  const response = await fetch('/auth/development-token').catch(() => undefined);
  if (response?.ok !== true) return undefined;
  return ((await response.json()) as { token: string }).token;
}

const token = await developmentToken();
const endpoint = new URL('/graphql', location.href);
const socket = new URL(endpoint);
socket.protocol = endpoint.protocol === 'https:' ? 'wss:' : 'ws:';

// The headers of the tab that runs are those of its connection, so that a token that was typed in holds for both.
let authorization = token === undefined ? '' : `Bearer ${token}`;
const fetcher = createGraphiQLFetcher({
  url: endpoint.toString(),
  wsClient: createClient({ url: socket.toString(), connectionParams: () => ({ authorization }), lazyCloseTimeout: 0 }),
});
const headers = token === undefined ? '{ "authorization": "Bearer " }' : JSON.stringify({ authorization }, null, 2);

const container = document.getElementById('explorer');
if (container) {
  createRoot(container).render(
    <GraphiQL
      fetcher={(parameters, options) => {
        const typed: unknown = options?.headers?.['authorization'] ?? options?.headers?.['Authorization'];
        if (typeof typed === 'string') authorization = typed;
        return fetcher(parameters, options);
      }}
      defaultTabs={examples.map((example) => ({ query: example.query, variables: example.variables ?? '', headers }))}
      defaultHeaders={headers}
      initialHeaders={headers}
      shouldPersistHeaders={false}
    />,
  );
}
