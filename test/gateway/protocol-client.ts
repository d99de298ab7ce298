/** One socket of graphql-transport-ws, frame by frame: what a client library hides is what these tests are about. */
import { once } from 'node:events';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../world/eventually.js';

export interface Frame {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

export interface Payload {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly OperationError[];
}

export interface OperationError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export interface ProtocolClient {
  readonly frames: readonly Frame[];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly socket: WebSocket;
  send(frame: Frame): void;
  subscribe(id: string, query: string, variables?: Readonly<Record<string, unknown>>, operationName?: string): void;
  complete(id: string): void;
  /** Payloads of one operation so far. */
  payloads(id: string): Payload[];
  /** Types of the frames of one operation so far. */
  types(id: string): string[];
  /** Waits for the `error` frame of an operation. */
  error(id: string): Promise<readonly OperationError[]>;
  /** Waits for a payload of an operation, by its index. */
  payload(id: string, index?: number): Promise<Payload>;
}

/** Opens a socket and, unless `init` is false, sends `connection_init` with it and waits for the answer or the end. */
export async function openSocket(
  url: string,
  init: Readonly<Record<string, unknown>> | false,
): Promise<ProtocolClient> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws');
  const frames: Frame[] = [];
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame));
  await once(socket, 'open');
  const client: ProtocolClient = {
    frames,
    closed,
    socket,
    send: (frame) => socket.send(JSON.stringify(frame)),
    subscribe: (id, query, variables = {}, operationName) =>
      client.send({
        type: 'subscribe',
        id,
        payload: { query, variables, ...(operationName === undefined ? {} : { operationName }) },
      }),
    complete: (id) => client.send({ type: 'complete', id }),
    payloads: (id) =>
      frames.filter((frame) => frame.id === id && frame.type === 'next').map(({ payload }) => payload as Payload),
    types: (id) => frames.filter((frame) => frame.id === id).map(({ type }) => type),
    error: (id) =>
      eventually(() => {
        const found = frames.find((frame) => frame.id === id && frame.type === 'error');
        if (!found) throw new Error(`no error of ${id} among ${JSON.stringify(frames)}`);
        return found.payload as readonly OperationError[];
      }),
    payload: (id, index = 0) =>
      eventually(() => {
        const found = client.payloads(id)[index];
        if (!found) throw new Error(`no payload ${index} of ${id} among ${JSON.stringify(frames)}`);
        return found;
      }),
  };
  if (init !== false) {
    client.send({ type: 'connection_init', payload: { ...init } });
    // Whoever subscribes before the acknowledgement is closed with 4401.
    await Promise.race([closed, eventually(() => expect(frames.map(({ type }) => type)).toContain('connection_ack'))]);
  }
  return client;
}
