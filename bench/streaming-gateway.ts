/** A gateway alone on one core, in front of subgraphs on the other that push payloads into its streams when they are told to. */
import { pinToCore, startProgram, type RunningProcess } from './process.js';

export interface StreamingGateway extends AsyncDisposable {
  /** Takes `{"count": n, "overMs": t, "padding": c}` (peers/stream-source.ts). */
  readonly source: RunningProcess;
  /** Answers with its memory and processor time (peers/gateway-alone.ts). */
  readonly gateway: RunningProcess;
  /** Where clients connect. */
  readonly webSocketUrl: string;
}

const program = (name: string): string => new URL(`./peers/${name}.ts`, import.meta.url).pathname;

export async function startStreamingGateway(nodeFlags: readonly string[]): Promise<StreamingGateway> {
  const source = await startProgram(program('stream-source'));
  pinToCore(source.pid, 1);
  const { device = '', actions = '', query = '' } = source.hello;
  const gateway = await startProgram(program('gateway-alone'), {
    args: [device, actions, query],
    nodeFlags: ['--expose-gc', ...nodeFlags],
  });
  pinToCore(gateway.pid, 0);
  return {
    source,
    gateway,
    webSocketUrl: `${(gateway.hello['url'] ?? '').replace(/^http/, 'ws')}/graphql`,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    },
  };
}

/** When the payload in a frame was made, epoch milliseconds. */
export function pushedAt(frame: string): number {
  const from = frame.indexOf('"at":"') + 6;
  return Date.parse(frame.slice(from, frame.indexOf('"', from)));
}
