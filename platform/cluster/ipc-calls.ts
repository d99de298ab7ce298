/** Calls between a process and one that it has forked: a name and an argument go there, a value or an error comes back. */
import { messageOf, StartupError } from '../errors.js';

export type CallHandlers = Readonly<Record<string, (argument: unknown) => unknown>>;

export interface IpcCalls {
  /** @throws what the other side throws (StartupError stays one); Error after `timeoutMs`, or when the channel is closed. */
  call(name: string, argument?: unknown, timeoutMs?: number): Promise<unknown>;
  /** Takes a message of the channel; others than calls and their answers are left alone. */
  receive(message: unknown): void;
  /** The channel is gone: what waits rejects. */
  close(reason: Error): void;
}

interface Message {
  readonly fleetgraph: 'call' | 'answer';
  readonly id: number;
  readonly name?: string;
  readonly argument?: unknown;
  readonly value?: unknown;
  readonly fault?: { readonly message: string; readonly isStartup: boolean };
}

/** @param send of the channel. It may throw when that is gone. */
export function createIpcCalls(send: (message: object) => void, handlers: CallHandlers): IpcCalls {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let last = 0;
  let closed: Error | undefined;

  const answer = async ({ id, name = '', argument }: Message): Promise<void> => {
    let message: Message;
    try {
      const handler = handlers[name];
      if (!handler) throw new Error(`There is no call "${name}".`);
      message = { fleetgraph: 'answer', id, value: await handler(argument) };
    } catch (error) {
      const fault = { message: messageOf(error), isStartup: error instanceof StartupError };
      message = { fleetgraph: 'answer', id, fault };
    }
    // Whoever has gone needs no answer.
    if (!closed) send(message);
  };

  return {
    call(name, argument, timeoutMs) {
      return new Promise((resolve, reject) => {
        if (closed) {
          reject(closed);
          return;
        }
        const id = (last += 1);
        const timer =
          timeoutMs === undefined
            ? undefined
            : setTimeout(() => waiting.get(id)?.reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
        const end = (): void => {
          clearTimeout(timer);
          waiting.delete(id);
        };
        waiting.set(id, {
          resolve(value) {
            end();
            resolve(value);
          },
          reject(error) {
            end();
            reject(error);
          },
        });
        send({ fleetgraph: 'call', id, name, argument } satisfies Message);
      });
    },
    receive(message) {
      if (!isMessage(message)) return;
      if (message.fleetgraph === 'call') {
        void answer(message).catch(() => undefined);
        return;
      }
      const { id, value, fault } = message;
      if (!fault) waiting.get(id)?.resolve(value);
      else waiting.get(id)?.reject(fault.isStartup ? new StartupError(fault.message) : new Error(fault.message));
    },
    close(reason) {
      closed ??= reason;
      for (const { reject } of [...waiting.values()]) reject(reason);
    },
  };
}

function isMessage(message: unknown): message is Message {
  return typeof message === 'object' && message !== null && 'fleetgraph' in message;
}
