/** When a worker that died is started again, and when not: pure, of the times of its deaths. */

export interface RestartPolicy {
  /** @returns milliseconds until the next start; undefined when it dies too often for that to be of use. */
  died(nowMs: number): number | undefined;
}

/** So long a death counts, milliseconds. */
const windowMs = 60_000;
const firstDelayMs = 100;
/** So many deaths within the window are a crash loop. */
export const deathsOfCrashLoop = 5;

/** Waits 0.1, 0.4, 1.6 and 6.4 s after the deaths of one minute; the fifth ends it. */
export function createRestartPolicy(): RestartPolicy {
  let deaths: readonly number[] = [];
  return {
    died(nowMs) {
      deaths = [...deaths.filter((at) => nowMs - at < windowMs), nowMs];
      return deaths.length < deathsOfCrashLoop ? firstDelayMs * 4 ** (deaths.length - 1) : undefined;
    },
  };
}
