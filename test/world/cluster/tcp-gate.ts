/** A TCP forwarder that can be shut and opened: how a server goes away for those who use it, and comes back. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface TcpGate extends AsyncDisposable {
  readonly port: number;
  /** Cuts every connection; new ones are cut at once until it is opened again. */
  shut(): void;
  open(): void;
  /** The server is gone without a word: every connection stays open for its client, who hears nothing on it any more. */
  goSilent(): void;
}

/** A gate on a free port of 127.0.0.1 before `target`. */
export async function startTcpGate(target: { readonly host: string; readonly port: number }): Promise<TcpGate> {
  const sockets = new Set<Socket>();
  const upstreams = new Set<Socket>();
  const silent = new WeakSet<Socket>();
  let isOpen = true;
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    track(client);
    if (!isOpen) {
      client.destroy();
      return;
    }
    const upstream = connect(target);
    track(upstream);
    client.once('close', () => upstream.destroy());
    upstream.once('close', () => {
      if (!silent.has(upstream)) client.destroy();
    });
    // A client ends with its server (above), unless that went silent.
    client.pipe(upstream).pipe(client, { end: false });
    upstreams.add(upstream);
    upstream.once('close', () => upstreams.delete(upstream));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    shut() {
      isOpen = false;
      for (const socket of sockets) socket.destroy();
    },
    open() {
      isOpen = true;
    },
    goSilent() {
      for (const upstream of upstreams) {
        silent.add(upstream);
        upstream.destroy();
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
