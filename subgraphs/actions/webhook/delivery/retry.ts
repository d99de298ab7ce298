/** When a delivery that failed is tried again. */

/** An endpoint may ask for a longer pause (`retry-after`), but not for longer than this. */
const longestAskedMs = 6 * 3_600_000;

/**
 * The pause before the next attempt, in milliseconds, or undefined if that was the last. `triesLeft` is what is left after
 * the attempt that failed, `schedule` has the pause before each attempt but the first. Jitter: up to a fifth more, so
 * that what failed together does not come back together.
 */
export function pauseBeforeRetry(
  schedule: readonly number[],
  triesLeft: number,
  askedMs: number | undefined,
  random: number,
): number | undefined {
  if (triesLeft < 1) return undefined;
  const planned = schedule[Math.max(0, schedule.length - triesLeft)] ?? 0;
  return Math.max(planned * (1 + random / 5), Math.min(askedMs ?? 0, longestAskedMs));
}
