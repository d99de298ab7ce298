/** Clients that keep asking, by GET and by POST in turn, and note what they hear and when. */
import { pause } from '../../platform/lifecycle/wait.js';
import { send } from './edge-world.js';

export interface Heard {
  readonly method: 'GET' | 'POST';
  readonly status: number;
  /** When it was asked, epoch milliseconds. */
  readonly askedAt: number;
  readonly body: string;
}

export interface Load {
  readonly heard: readonly Heard[];
  /** Resolves when every request has been answered. */
  stop(): Promise<readonly Heard[]>;
}

const query = '{ __typename devices { totalCount } }';

/** Four clients with a token each, some 50 requests a second of each at most. A connection that breaks is status 0. */
export function startLoad(url: string, tokens: readonly string[]): Load {
  const heard: Heard[] = [];
  let stopped = false;
  const ask = async (method: 'GET' | 'POST', token: string): Promise<void> => {
    const askedAt = Date.now();
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await (
      method === 'GET'
        ? send(url, `/graphql?query=${encodeURIComponent(query)}`, { headers })
        : send(url, '/graphql', { method, headers, body: JSON.stringify({ query }) })
    ).catch((error: unknown) => ({ status: 0, body: String(error) }));
    heard.push({ method, askedAt, status: answer.status, body: answer.body });
  };
  const client = async (token: string): Promise<void> => {
    for (let turn = 0; !stopped; turn++) {
      await ask(turn % 2 === 0 ? 'GET' : 'POST', token);
      await pause(20);
    }
  };
  const clients = tokens.map(client);
  return {
    heard,
    async stop() {
      stopped = true;
      await Promise.all(clients);
      return heard;
    },
  };
}
