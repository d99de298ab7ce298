import type { TopicPartition } from '../event-bus.js';
import type { Progress } from './leases.js';

/**
 * Batches commits: those that come while one is on its way share the next.
 * @param write moves offsets and gives the partitions that it moved.
 * @returns a function that resolves to whether the offset was moved; false means that the lease is lost.
 */
export function createOffsetCommits(
  write: (progress: readonly Progress[]) => Promise<readonly TopicPartition[]>,
): (progress: Progress) => Promise<boolean> {
  interface Waiting extends Progress {
    readonly resolve: (moved: boolean) => void;
    readonly reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let writing = false;

  const writeAll = async (): Promise<void> => {
    writing = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        const moved = new Set((await write(batch)).map(({ topic, partition }) => `${topic}/${partition}`));
        for (const { lease, resolve } of batch) resolve(moved.has(`${lease.topic}/${lease.partition}`));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    writing = false;
  };

  return (progress) =>
    new Promise((resolve, reject) => {
      waiting.push({ ...progress, resolve, reject });
      if (!writing) void writeAll();
    });
}
