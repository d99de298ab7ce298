/** A delivery: one event on its way to one webhook, and what became of it. */
import { createHash } from 'node:crypto';
import type { Event } from '../../../../backbone/events/envelope.js';

export type DeliveryStatus = 'PENDING' | 'SUCCEEDED' | 'FAILED';

export interface Delivery {
  readonly id: string;
  readonly tenant: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly type: string;
  readonly subject: string;
  readonly payload: string;
  readonly status: DeliveryStatus;
  readonly attempts: number;
  readonly createdAt: Date;
  /** When the next attempt is due; null while one is under way, and behind the last. */
  readonly nextAttemptAt: Date | null;
  readonly lastAttemptAt: Date | null;
  readonly responseStatus: number | null;
  readonly latencyMs: number | null;
  readonly error: string | null;
  readonly completedAt: Date | null;
}

/** A delivery is given up when it is this old, whatever became of its attempts: the webhook was paused or its endpoint dead. */
export const longestPendingMs = 3 * 86_400_000;

/**
 * The id of the delivery of an event to a webhook: the same for every attempt, also when it is delivered again by hand, so
 * that a receiver can tell a repetition. No dot may be in it: the signature separates its parts by dots.
 */
export function deliveryIdOf(webhookId: string, eventId: string): string {
  return `msg_${createHash('sha256').update(`${webhookId}/${eventId}`).digest('base64url').slice(0, 32)}`;
}

/** The event as receivers get it: CloudEvents 1.0 in the structured JSON format. */
export function payloadOf(event: Event): string {
  // Where somebody called from is ours to know.
  const { data, clientaddress: _unsaid, ...attributes } = event;
  return JSON.stringify({ specversion: '1.0', ...attributes, datacontenttype: 'application/json', data });
}
