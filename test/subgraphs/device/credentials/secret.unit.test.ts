import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hashPassword, newPassword, passwordMatches } from '../../../../subgraphs/device/credentials/secret.js';

it('matches the password that was hashed and no other', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (password, other) => {
      const stored = hashPassword(password);
      expect(passwordMatches(password, stored)).toBe(true);
      expect(passwordMatches(other, stored)).toBe(other === password);
    }),
  );
});

it('makes a password of 256 bits that is never the same', () => {
  const passwords = Array.from({ length: 200 }, () => newPassword());
  expect(new Set(passwords).size).toBe(200);
  for (const password of passwords) expect(Buffer.from(password, 'base64url')).toHaveLength(32);
});

it('gives the same password another hash each time, and the same with the same salt', () => {
  const salt = Buffer.alloc(16, 7);
  expect(hashPassword('p')).not.toBe(hashPassword('p'));
  expect(hashPassword('p', salt)).toBe(hashPassword('p', salt));
  expect(hashPassword('p', salt)).toMatch(/^sha256:[\w-]{22}:[\w-]{43}$/);
});

it('matches nothing with a hash of unknown or broken form, and does not throw', () => {
  const good = hashPassword('p');
  const [, salt = '', hash = ''] = good.split(':');
  const broken = ['', 'p', 'sha256', `sha256:${salt}`, `sha256:${salt}:`, `sha512:${salt}:${hash}`, `:${salt}:${hash}`];
  for (const stored of [...broken, `sha256::${hash}`, good.slice(0, -2), `sha256:${hash}:${salt}`])
    expect(passwordMatches('p', stored), stored).toBe(false);
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (stored) => !passwordMatches('p', stored)));
});
