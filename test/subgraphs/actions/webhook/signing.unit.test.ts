import fc from 'fast-check';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { deliveryIdOf } from '../../../../subgraphs/actions/webhook/delivery/delivery.js';
import { createSecretBox, generateSecret } from '../../../../subgraphs/actions/webhook/signing/secret-box.js';
import { sign } from '../../../../subgraphs/actions/webhook/signing/sign.js';

const message = (body: string) => ({ id: deliveryIdOf('w', 'e'), body, atMs: Date.now() });

test('the reference implementation accepts every signature, under each of the secrets', () => {
  fc.assert(
    fc.property(fc.json(), (body) => {
      const secrets = [generateSecret(), generateSecret()];
      const headers = { ...sign(message(body), secrets) };
      for (const secret of secrets) expect(() => new Webhook(secret).verify(body, headers)).not.toThrow();
    }),
    { numRuns: 30 },
  );
});

test('a changed body, another secret and a replay after minutes are refused', () => {
  const secret = generateSecret();
  const headers = { ...sign(message('{"a":1}'), [secret]) };
  const old = { ...sign({ ...message('{"a":1}'), atMs: Date.now() - 6 * 60_000 }, [secret]) };
  expect(() => new Webhook(secret).verify('{"a":2}', headers)).toThrow(WebhookVerificationError);
  expect(() => new Webhook(generateSecret()).verify('{"a":1}', headers)).toThrow(WebhookVerificationError);
  expect(() => new Webhook(secret).verify('{"a":1}', old)).toThrow(WebhookVerificationError);
});

test('a sealed secret opens with any key of the list, for its own webhook alone', () => {
  const [older, newer] = ['o'.repeat(32), 'n'.repeat(32)];
  const secret = generateSecret();
  const stored = createSecretBox([older]).seal(secret, 'w1');
  expect(stored).not.toContain(secret.slice(6));
  expect(createSecretBox([newer, older]).open(stored, 'w1')).toBe(secret);
  expect(() => createSecretBox([older]).open(stored, 'w2')).toThrow();
  expect(() => createSecretBox([newer]).open(stored, 'w1')).toThrow(/WEBHOOK_ENCRYPTION_KEYS/);
});

test('secrets from before there was a key stay readable', () => {
  const secret = generateSecret();
  expect(createSecretBox(['k'.repeat(32)]).open(createSecretBox([]).seal(secret, 'w'), 'w')).toBe(secret);
});
