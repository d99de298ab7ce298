/**
 * Signatures of the Standard Webhooks scheme (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
 * `v1,` and the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`; one for each secret that is valid, separated by spaces.
 */
import { createHmac } from 'node:crypto';

export interface SignedHeaders {
  readonly 'webhook-id': string;
  /** Seconds since 1970: the receiver refuses what is older than its replay window. */
  readonly 'webhook-timestamp': string;
  readonly 'webhook-signature': string;
}

/** The headers of one attempt. `secrets` are `whsec_…`; the newest first. */
export function sign(
  message: { readonly id: string; readonly body: string; readonly atMs: number },
  secrets: readonly string[],
): SignedHeaders {
  const timestamp = Math.floor(message.atMs / 1_000).toString();
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    return `v1,${createHmac('sha256', key).update(`${message.id}.${timestamp}.${message.body}`).digest('base64')}`;
  });
  return {
    'webhook-id': message.id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  };
}
