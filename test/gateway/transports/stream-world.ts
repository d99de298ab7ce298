/** Streams of a gateway over HTTP, byte by byte: what a client library hides is what these tests are about. */
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
  const left = new AbortController();
  const parameters = new URLSearchParams({ query, variables: JSON.stringify(variables) });
  const response = await fetch(`${world.url}/graphql${method === 'GET' ? `?${parameters.toString()}` : ''}`, {
    method,
    headers: {
      accept,
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...call.headers,
    },
    ...(method === 'POST' ? { body: JSON.stringify({ query, variables }) } : {}),
    signal: left.signal,
  });
  let text = '';
  let ended = false;
  const read = async () => {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body ?? []) text += decoder.decode(chunk as Uint8Array, { stream: true });
    } catch {
      // Cut off: `hasEnded` says so.
    }
    ended = true;
  };
  void read();
  return {
    status: response.status,
    headers: response.headers,
    text: () => text,
    hasEnded: () => ended,
    leave: () => left.abort(),
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
