/** A socket of a client: what `ws` makes of it, with as little beside it as can be, since there are ten thousands of them. */
import { WebSocket } from 'ws';

/** What is told of a socket. */
export interface SocketFollower {
  receive(data: Buffer, isBinary: boolean): void;
  /** A ping was answered. */
  hear(): void;
  /** It is closed. */
  end(): void;
}

interface Followed {
  readonly follower?: SocketFollower | undefined;
}

/** A socket that knows who follows it, so that all of them have the same listeners. */
export class ClientSocket extends WebSocket implements Followed {
  follower: SocketFollower | undefined;

  follow(follower: SocketFollower): void {
    this.follower = follower;
    // `on`, also for what comes once: `once` keeps four objects for each.
    this.on('message', onMessage).on('pong', onPong).on('close', onClose).on('error', onError);
  }
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  (this as Followed).follower?.receive(data as Buffer, isBinary);
}

function onPong(this: WebSocket): void {
  (this as Followed).follower?.hear();
}

function onClose(this: WebSocket): void {
  (this as Followed).follower?.end();
}

/** The close follows; what it was is of no use to anybody. Without a listener it would be thrown. */
function onError(): void {
  // Nothing else is to be done.
}

/** Close code for "come back in a moment" (IANA registry of WebSocket close codes). */
export const tryAgainLater = 1013;

/** The message as the reason of a close frame, which holds 123 bytes (RFC 6455, section 5.5). */
export function closeReason(message: string): string {
  return Buffer.from(message)
    .subarray(0, 123)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}
