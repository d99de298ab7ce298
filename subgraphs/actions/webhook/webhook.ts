/** A webhook: where events go, and which. */

export type WebhookStatus = 'ACTIVE' | 'PAUSED';

export interface Webhook {
  readonly id: string;
  readonly tenant: string;
  readonly url: string;
  readonly description: string | null;
  /** Types of events, or the beginning of types and `.*`. */
  readonly eventTypes: readonly string[];
  /** Of alerts, only those of these rules; empty: of all. */
  readonly ruleIds: readonly string[];
  /** Of alerts, only those of these severities; empty: of all. */
  readonly severities: readonly string[];
  readonly status: WebhookStatus;
  /** As `signing/secret-box.ts` keeps it. */
  readonly secret: string;
  readonly previousSecret: string | null;
  readonly previousSecretExpiresAt: Date | null;
  /** Equals the revision of the stream in the event store. */
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Stream of a webhook in the event store. */
export function streamOf(webhookId: string): string {
  return `webhook-${webhookId}`;
}
