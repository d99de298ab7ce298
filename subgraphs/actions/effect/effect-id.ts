import { createHash } from 'node:crypto';

/**
 * The id of what an action of a rule does: the same whenever the same event is handled, so that it is done once and a
 * receiver can tell a repetition. A UUID of version 8 (RFC 9562, 5.8), of the event that caused it and the place of the action.
 */
export function effectIdOf(eventId: string, actionIndex: number): string {
  const hash = createHash('sha256').update(`fleetgraph effect ${eventId} ${actionIndex}`).digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  return hash
    .toString('hex')
    .slice(0, 32)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
