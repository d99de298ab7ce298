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
  /** What ends the client of each. */
  const upstreams = new Map<Socket, () => void>();
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
    const end = () => client.destroy();
    upstreams.set(upstream, end);
    upstream.once('close', end).once('close', () => upstreams.delete(upstream));
    // A client ends with its server (above), unless that went silent.
    client.pipe(upstream).pipe(client, { end: false });
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
      for (const [upstream, end] of upstreams) upstream.off('close', end).destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
