/**
 * How secrets of webhooks lie in the database: sealed with AES-256-GCM under a key of the configuration, or as they are if
 * there is none (then whoever reads the database can sign). The id of the webhook is authenticated with the secret, so that
 * one webhook's sealed secret opens for no other. Form: `sealed:{key id}:{base64url of nonce, tag, text}`.
 * Keys change without a pause: the first of the list seals, every one of them opens.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { FleetgraphError } from '../../../../platform/errors.js';

export interface SecretBox {
  /** What is stored for the secret of this webhook. */
  seal(secret: string, webhookId: string): string;
  /** The secret. @throws FleetgraphError INTERNAL_SERVER_ERROR when its key is not configured (any more). */
  open(stored: string, webhookId: string): string;
}

const nonceBytes = 12;
const tagBytes = 16;

export function createSecretBox(keys: readonly string[]): SecretBox {
  const known = keys.map((text) => ({
    id: createHash('sha256').update(`fleetgraph webhook key id ${text}`).digest('hex').slice(0, 8),
    key: Buffer.from(hkdfSync('sha256', text, '', 'fleetgraph webhook secrets', 32)),
  }));
  return {
    seal(secret, webhookId) {
      const [first] = known;
      if (first === undefined) return secret;
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', first.key, nonce).setAAD(Buffer.from(webhookId));
      const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return `sealed:${first.id}:${Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url')}`;
    },
    open(stored, webhookId) {
      const sealed = /^sealed:([0-9a-f]+):([\w-]+)$/.exec(stored);
      if (sealed === null) return stored;
      const [, id, body = ''] = sealed;
      const found = known.find((candidate) => candidate.id === id);
      if (found === undefined)
        throw new FleetgraphError(
          'INTERNAL_SERVER_ERROR',
          `The secret of the webhook ${webhookId} is sealed with a key that is not in WEBHOOK_ENCRYPTION_KEYS.`,
        );
      const bytes = Buffer.from(body, 'base64url');
      const decipher = createDecipheriv('aes-256-gcm', found.key, bytes.subarray(0, nonceBytes))
        .setAAD(Buffer.from(webhookId))
        .setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
      return Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]).toString('utf8');
    },
  };
}

/** A new secret, as receivers configure it: `whsec_` and 32 random bytes in base64. */
export function generateSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}
