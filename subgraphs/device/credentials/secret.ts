/**
 * Passwords of devices: 256 random bits, kept as a salted SHA-256. A slow hash protects secrets that people choose and
 * that can be guessed; these can't, and ten thousand devices that reconnect at once must be checked in a moment.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

export function newPassword(): string {
  return randomBytes(32).toString('base64url');
}

/** `sha256:<salt>:<hash>`, both base64url. */
export function hashPassword(password: string, salt = randomBytes(16)): string {
  return `sha256:${salt.toString('base64url')}:${digest(password, salt).toString('base64url')}`;
}

/** Whether the password is the one that was hashed. False, too, for a hash of unknown form. */
export function passwordMatches(password: string, stored: string): boolean {
  const [algorithm, salt, hash] = stored.split(':');
  if (algorithm !== 'sha256' || salt === undefined || hash === undefined) return false;
  const expected = Buffer.from(hash, 'base64url');
  const actual = digest(password, Buffer.from(salt, 'base64url'));
  return expected.length === actual.length && timingSafeEqual(actual, expected);
}

function digest(password: string, salt: Buffer): Buffer {
  return createHash('sha256').update(salt).update(password, 'utf8').digest();
}
