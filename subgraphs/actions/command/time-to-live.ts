import { FleetgraphError } from '../../../platform/errors.js';

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

export const shortestTimeToLiveMs = secondMs;
export const longestTimeToLiveMs = 30 * dayMs;

/** ISO 8601 durations of fixed length: weeks, days, hours, minutes, seconds; a fraction with `.` or `,` in any of them. */
const pattern = (() => {
  const part = (unit: string) => String.raw`(?:(\d{1,9}(?:[.,]\d{1,9})?)${unit})?`;
  return new RegExp(`^P(?=.)${part('W')}${part('D')}(?:T(?=.)${part('H')}${part('M')}${part('S')})?$`);
})();
const partMs = [7 * dayMs, dayMs, hourMs, minuteMs, secondMs];

/**
 * The milliseconds of an ISO 8601 duration, rounded to a whole one.
 * @throws FleetgraphError BAD_USER_INPUT when it is not one of fixed length (years and months have none), or not from one
 * second to 30 days.
 */
export function timeToLiveMs(duration: string, field: string): number {
  const match = pattern.exec(duration);
  if (match === null) {
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `${field} is "${duration.slice(0, 40)}", no duration of fixed length. Write it in weeks, days, hours, minutes and seconds, e.g. "PT30S" or "P1DT12H".`,
      { field },
    );
  }
  const ms = Math.round(
    match.slice(1).reduce((sum, part: string | undefined, index) => {
      return sum + Number((part ?? '0').replace(',', '.')) * (partMs[index] ?? 0);
    }, 0),
  );
  if (ms < shortestTimeToLiveMs || ms > longestTimeToLiveMs) {
    throw new FleetgraphError('BAD_USER_INPUT', `${field} is "${duration}"; it must be from "PT1S" to "P30D".`, {
      field,
    });
  }
  return ms;
}
