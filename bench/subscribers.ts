/** Many WebSocket subscribers in one process: raw `ws` speaking graphql-transport-ws, so that the load is not the limit. */
import { WebSocket } from 'ws';

export interface Sockets extends AsyncDisposable {
  readonly sockets: readonly WebSocket[];
}

/** Opens `count` sockets that each run one subscription; resolves when every one has its first payload. */
export async function subscribeMany(options: {
  url: string;
  token: string;
  count: number;
  payload: (index: number) => { query: string; variables: Readonly<Record<string, unknown>> };
  onMessage: (text: string, index: number) => void;
}): Promise<Sockets> {
  const sockets: WebSocket[] = [];
  for (let from = 0; from < options.count; from += 100) {
    const opening = Array.from({ length: Math.min(100, options.count - from) }, (_unused, index) =>
      open(options, from + index),
    );
    sockets.push(...(await Promise.all(opening)));
  }
  return {
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.terminate();
    },
  };
}

async function open(options: Parameters<typeof subscribeMany>[0], index: number): Promise<WebSocket> {
  const socket = new WebSocket(options.url, 'graphql-transport-ws');
  return new Promise((resolve, reject) => {
    let begun = false;
    socket.once('error', reject);
    socket.once('close', (code, reason) => reject(new Error(`socket closed with ${code} ${reason.toString()}`)));
    socket.once('open', () =>
      socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${options.token}` } })),
    );
    socket.on('message', (data: Buffer) => {
      const text = data.toString();
      if (text.includes('"connection_ack"')) {
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: options.payload(index) }));
      } else if (text.includes('"type":"ping"')) {
        socket.send('{"type":"pong"}');
      } else if (!begun && text.includes('"type":"error"')) {
        reject(new Error(text));
      } else if (!begun) {
        begun = true;
        resolve(socket);
      } else {
        options.onMessage(text, index);
      }
    });
  });
}
