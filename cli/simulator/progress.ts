/** The live line of the simulator: sent, acknowledged, per second, latency of acknowledgements. */
import type { WriteStream } from 'node:tty';

export interface Progress {
  note(text: string): void;
  /** Counts a publish as sent now and as acknowledged when it resolves; never rejects. */
  track(publishing: Promise<void>): Promise<void>;
  readonly reconnecting: () => void;
  /** Writes the line if a second has passed since the last. */
  tick(): void;
  finish(): void;
  unacknowledged(): number;
}

/** In a terminal the line is rewritten in place; elsewhere it is one line a second. */
export function createProgress(out: Pick<WriteStream, 'write' | 'isTTY'>): Progress {
  const startedAt = performance.now();
  let sent = 0;
  let acked = 0;
  let failed = 0;
  let reconnects = 0;
  let lastAt = startedAt;
  let lastAcked = 0;
  let latencies: number[] = [];
  const number = (value: number) => value.toLocaleString('en-US');

  const line = (perSecond: number): string => {
    const sorted = latencies.sort((a, b) => a - b);
    const quantile = (q: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]?.toFixed(1) ?? '-';
    const troubles = `${failed > 0 ? ` · failed ${number(failed)}` : ''}${reconnects > 0 ? ` · reconnects ${number(reconnects)}` : ''}`;
    return `sent ${number(sent)} · acked ${number(acked)} · ${number(Math.round(perSecond))}/s · ack p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms${troubles}`;
  };
  const show = (text: string): void => {
    out.write(out.isTTY ? `\r\u001b[2K${text}` : `${text}\n`);
  };

  return {
    note: (text) => out.write(`${text}\n`),
    async track(publishing) {
      sent += 1;
      const at = performance.now();
      try {
        await publishing;
        acked += 1;
        latencies.push(performance.now() - at);
      } catch {
        failed += 1;
      }
    },
    reconnecting: () => (reconnects += 1),
    tick() {
      const now = performance.now();
      if (now - lastAt < 1_000) return;
      show(line(((acked - lastAcked) * 1_000) / (now - lastAt)));
      lastAt = now;
      lastAcked = acked;
      latencies = [];
    },
    finish() {
      const seconds = (performance.now() - startedAt) / 1_000;
      show(
        `sent ${number(sent)}, acknowledged ${number(acked)} in ${seconds.toFixed(1)} s${failed > 0 ? `, failed ${number(failed)}` : ''}\n`,
      );
    },
    unacknowledged: () => sent - acked,
  };
}
