import { getOperationAST, parse } from 'graphql';
import { expect, test } from 'vitest';
import { normalise, sharingKey } from '../../../gateway/subscriptions/normalise.js';
import { LosslessNumber } from '../../../platform/json/exact-json.js';
import type { Identity, Scope } from '../../../platform/identity/identity.js';
import { parseExactJson } from '../../../platform/json/exact-json.js';

const identity = (tenant: string, subject: string, ...scopes: Scope[]): Identity => ({
  tenant,
  subject,
  scopes: new Set(scopes),
  expiresAtMs: Math.random() * 1e12,
});
const someone = identity('acme', 'ann', 'telemetry:read', 'device:read');

function keyOf(text: string, variables: Readonly<Record<string, unknown>> = {}, who: Identity = someone): string {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  const normalised = normalise(document, operation, 'since');
  return sharingKey(normalised, { ...normalised.defaults, ...variables }, who);
}

const base = 'subscription { deviceState(deviceId: "d") { cursor device { id name } } }';

test('names, white space, fragments and where to begin make no difference', () => {
  const same = [
    'subscription Watch { deviceState(deviceId: "d") { cursor, device { id, name } } }',
    'subscription { deviceState(deviceId: "d", since: "x") { cursor device { id name } } }',
    'subscription A($s: String) { deviceState(deviceId: "d", since: $s) { cursor device { id name } } } # end',
  ];
  for (const text of same) expect(keyOf(text, { s: 'anything' })).toBe(keyOf(base));
  const withFragment = (name: string) =>
    `subscription { deviceState(deviceId: "d") { ...${name} } } fragment ${name} on DeviceStateUpdate { cursor }`;
  expect(keyOf(withFragment('One'))).toBe(keyOf(withFragment('Other')));
});

test('variables are told apart by their values, not by their names; an absent one has its default', () => {
  const watch = (name: string, fallback = '') =>
    `subscription W($${name}: ID!${fallback}) { deviceState(deviceId: $${name}) { cursor } }`;
  expect(keyOf(watch('a'), { a: 'd' })).toBe(keyOf(watch('b'), { b: 'd', unused: 1 }));
  expect(keyOf(watch('a'), { a: 'd' })).not.toBe(keyOf(watch('a'), { a: 'e' }));
  expect(keyOf(watch('a', ' = "d"'))).toBe(keyOf(watch('a'), { a: 'd' }));
  const filtered = 'subscription F($f: DeviceStateFilter) { deviceStates(filter: $f) { cursor } }';
  expect(keyOf(filtered, { f: { typeId: 't', deviceIds: ['1', '2'] } })).toBe(
    keyOf(filtered, { f: { deviceIds: ['1', '2'], typeId: 't' } }),
  );
  expect(keyOf(filtered, { f: { deviceIds: ['1', '2'] } })).not.toBe(keyOf(filtered, { f: { deviceIds: ['2', '1'] } }));
});

// Rounded, they were the same, and one client was given the stream of the other.
test('distinguishes numbers that differ beyond 2^53, and from what is no number', () => {
  const watch = (fallback = '') => `subscription W($id: Long${fallback}) { entity(id: $id) { cursor } }`;
  const long = (digits: string) => keyOf(watch(), { id: new LosslessNumber(digits) });
  const keys = [
    ...[long('9007199254740993'), long('9007199254740992'), long('1e400')],
    keyOf(watch(), { id: '9007199254740993' }),
    keyOf(watch(), { id: { value: '9007199254740993', isLosslessNumber: true } }),
    keyOf(watch(), { id: [new LosslessNumber('9007199254740993')] }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  expect(keyOf(watch(' = 9007199254740993'))).toBe(long('9007199254740993'));
  expect(keyOf(watch(' = 5'))).toBe(keyOf(watch(), { id: 5 }));
});

test('whoever may see the same shares, whatever else the token says; nobody else does', () => {
  const scopes = ['device:read', 'telemetry:read'] as const;
  expect(keyOf(base, {}, identity('acme', 'bob', ...scopes))).toBe(keyOf(base));
  expect(keyOf(base, {}, identity('rival', 'ann', ...scopes))).not.toBe(keyOf(base));
  expect(keyOf(base, {}, identity('acme', 'ann', 'telemetry:read'))).not.toBe(keyOf(base));
  expect(keyOf(base, {}, { ...someone, claimsDigest: 'of other claims' })).not.toBe(keyOf(base));
});

test('what is selected, its aliases and directives make a difference', () => {
  const others = [
    'subscription { deviceState(deviceId: "d") { cursor device { id } } }',
    'subscription { deviceState(deviceId: "d") { cursor device { id title: name } } }',
    'subscription { other: deviceState(deviceId: "d") { cursor device { id name } } }',
    'subscription { deviceState(deviceId: "d") { cursor device { id name @skip(if: true) } } }',
  ];
  expect(new Set([base, ...others].map((text) => keyOf(text))).size).toBe(others.length + 1);
});

test('an operation whose fragments stand for more than memory holds is taken as it is written', () => {
  const levels = Array.from(
    { length: 40 },
    (_unused, n) => `fragment F${n} on DeviceStateUpdate { ...F${n + 1} a${n}: cursor ...F${n + 1} }`,
  );
  const bomb = `subscription B($v: Boolean!) { deviceState(deviceId: "d") { ...F0 } } ${levels.join(' ')} fragment F40 on DeviceStateUpdate { cursor @include(if: $v) }`;
  expect(keyOf(bomb, { v: true })).toBe(keyOf(bomb, { v: true }));
  expect(keyOf(bomb, { v: true })).not.toBe(keyOf(bomb, { v: false }));
  expect(keyOf(bomb)).not.toBe(keyOf(bomb.replace('a0: cursor', 'z0: cursor')));
});

test('distinguishes numbers by all of their digits, and from objects that look like them', () => {
  const watch = 'subscription ($n: ID) { deviceState(deviceId: $n) { cursor } }';
  const keys = [
    '{"n":9007199254740993}',
    '{"n":9007199254740992}',
    '{"n":"9007199254740993"}',
    '{"n":{"value":"9007199254740993","isLosslessNumber":true}}',
    '{"n":null}',
    '{}',
  ].map((json) => keyOf(watch, parseExactJson(json) as Record<string, unknown>));
  expect(new Set(keys).size).toBe(keys.length);
  const byDefault = 'subscription ($n: ID = 9007199254740993) { deviceState(deviceId: $n) { cursor } }';
  expect(keyOf(byDefault)).toBe(keys[0]);
  expect(keyOf('subscription { deviceState(deviceId: 9007199254740993) { cursor } }')).not.toBe(
    keyOf('subscription { deviceState(deviceId: 9007199254740992) { cursor } }'),
  );
});
