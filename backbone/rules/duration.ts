import { FleetgraphError } from '../../platform/errors.js';

const unitMs = [7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000];
/** ISO 8601 durations of fixed length: weeks, days, hours, minutes, seconds. */
const pattern = (() => {
  const part = (unit: string) => String.raw`(?:(\d{1,9}(?:[.,]\d{1,9})?)${unit})?`;
  return new RegExp(`^P(?=.)${part('W')}${part('D')}(?:T(?=.)${part('H')}${part('M')}${part('S')})?$`);
})();

/**
 * The milliseconds of an ISO 8601 duration, rounded to a whole one.
 * @throws FleetgraphError BAD_USER_INPUT when it is not one of fixed length (years and months have none), or none at all.
 */
export function durationMs(duration: string, field: string): number {
  const match = pattern.exec(duration);
  const parts = match?.slice(1).map((part: string | undefined) => Number((part ?? '0').replace(',', '.'))) ?? [];
  const ms = Math.round(parts.reduce((sum, part, index) => sum + part * (unitMs[index] ?? 0), 0));
  if (match !== null && ms > 0) return ms;
  throw new FleetgraphError(
    'BAD_USER_INPUT',
    `${field} is "${duration.slice(0, 40)}", no length of time. Write it in weeks, days, hours, minutes and seconds, e.g. "PT30S" or "P1DT12H".`,
    { field },
  );
}
