/** Streams of a gateway over HTTP, byte by byte: what a client library hides is what these tests are about. */
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import type { GatewayWorld } from '../gateway-world.js';

export interface OpenedStream {
  readonly status: number;
  readonly headers: Headers;
  /** What has come so far. */
  text(): string;
  /** Whether the answer has ended, or was cut off. */
  readonly hasEnded: () => boolean;
  /** The client goes away. */
  leave(): void;
}

export interface StreamCall {
  readonly accept: string;
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly method?: 'GET' | 'POST';
  /** Instead of a good token of `acme`. */
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export const watch = 'subscription { deviceState(deviceId: "boiler") { cursor device { name } } }';

/** A change of the state of the boiler, as its subgraph tells it. */
export const update = (version: number) => ({
  cursor: `cursor-${version}`,
  snapshot: false,
  device: { id: 'boiler' },
  state: { version, updatedAt: new Date(0), metrics: [] },
  presence: { online: true, lastSeen: null },
});

export async function openStream(world: GatewayWorld, call: StreamCall): Promise<OpenedStream> {
  const { accept, query, variables = {}, method = 'POST' } = call;
  const token = 'token' in call ? call.token : await world.issuer.token('acme');
  const parameters = new URLSearchParams({ query, variables: JSON.stringify(variables) });
  const url = `${world.url}/graphql${method === 'GET' ? `?${parameters.toString()}` : ''}`;
  const headers = {
    accept,
    'content-type': 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...call.headers,
  };
  // Not by `fetch`: when it is aborted it opens a connection for later, which a stop of the gateway would wait for.
  const sent = request(url, { method, headers, agent: false });
  sent.end(method === 'POST' ? JSON.stringify({ query, variables }) : undefined);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  // A cut is an end, too: `hasEnded` says so.
  sent.on('error', () => undefined);
  response.on('error', () => undefined);
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  let ended = false;
  response.once('close', () => (ended = true));
  return {
    status: response.statusCode ?? 0,
    headers: new Headers(response.headers as Record<string, string>),
    text: () => text,
    hasEnded: () => ended,
    leave: () => void sent.destroy(),
  };
}

export interface SseEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string | undefined;
}

/** The events that are whole (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export function eventsIn(text: string): readonly SseEvent[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .map((block) => {
      const fields = new Map<string, string>();
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':');
        if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''));
      }
      return { event: fields.get('event') ?? '', data: fields.get('data') ?? '', id: fields.get('id') };
    })
    .filter(({ event }) => event !== '');
}

/** The parts that a client takes for whole: those with a boundary behind them. */
export function partsIn(text: string): readonly unknown[] {
  return text
    .split('\r\n--graphql')
    .slice(1, -1)
    .map((part) => {
      const [headers, body] = part.split('\r\n\r\n');
      if (headers?.trim() !== 'content-type: application/json') throw new Error(`Not a part: ${part}`);
      return JSON.parse(body ?? '') as unknown;
    });
}
