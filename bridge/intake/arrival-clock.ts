/**
 * Stamps arrivals so that no two readings of one device get the same time: a reading is identified by (device, metric,
 * time), and two in one millisecond are two readings. The fraction of the millisecond counts in microseconds.
 */
export interface ArrivalClock {
  /** Epoch milliseconds, later than any that this device got before. */
  stamp(deviceId: string): number;
}

/** Devices whose last stamp is older than this can be forgotten: the clock has passed it. */
const forgetAfterMs = 10_000;

export function createArrivalClock(now: () => number = Date.now): ArrivalClock {
  const last = new Map<string, number>();
  let sweptAt = now();
  return {
    stamp(deviceId) {
      const nowMs = now();
      if (nowMs - sweptAt > forgetAfterMs) {
        for (const [id, at] of last) if (at < nowMs - forgetAfterMs) last.delete(id);
        sweptAt = nowMs;
      }
      const before = last.get(deviceId) ?? 0;
      const stamp = before < nowMs ? nowMs : Math.round((before + 0.001) * 1_000) / 1_000;
      last.set(deviceId, stamp);
      return stamp;
    },
  };
}
