/**
 * Numbers of clients that are not finite as JavaScript numbers, such as 1e400: no subgraph can be sent their value. The
 * specification has them as request errors for a Float (3.5.2); here they are for every type.
 */
import { isBeyondFloat, isLosslessNumber } from '../../../platform/json/exact-json.js';

/** The first such number in a value, as it was written. */
export function numberOutOfRange(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (isLosslessNumber(value)) return isBeyondFloat(value) ? value.value : undefined;
  for (const member of Object.values(value)) {
    const found = numberOutOfRange(member);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** @param what the number is in. */
export function outOfRangeFault(what: string, number: string): string {
  const shown = number.length > 40 ? `${number.slice(0, 40)}…` : number;
  return `The number ${shown} in ${what} is out of the range of a Float. Send it as a string.`;
}
