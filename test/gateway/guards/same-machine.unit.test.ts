import { expect, test } from 'vitest';
import { isFromThisMachine } from '../../../gateway/guards/same-machine.js';

const host = 'localhost:4000';

test.each([
  ['a command line', '127.0.0.1', { host }],
  ['IPv6', '::1', { host: '[::1]:4000' }],
  ['IPv4 in IPv6', '::ffff:127.0.0.1', { host: '127.0.0.1:4000' }],
  ['the explorer', '127.0.0.1', { host, 'sec-fetch-site': 'same-origin' }],
  ['a page of the same origin that says so', '127.0.0.1', { host, origin: 'http://localhost:4000' }],
  ['the address bar', '127.0.0.1', { host, 'sec-fetch-site': 'none' }],
  ['a name under localhost', '127.0.0.1', { host: 'fleet.localhost:4000' }],
])('%s is of this machine', (_what, remoteAddress, headers) => {
  expect(isFromThisMachine({ remoteAddress, headers })).toBe(true);
});

test.each([
  ['another machine', '192.168.1.20', { host }],
  ['another machine in IPv6', '::ffff:10.0.0.1', { host }],
  ['a socket that is gone', undefined, { host }],
  ['a page of another site', '127.0.0.1', { host, 'sec-fetch-site': 'cross-site' }],
  ['a page of another port', '127.0.0.1', { host, 'sec-fetch-site': 'same-site' }],
  ['a page of another origin, in an old browser', '127.0.0.1', { host, origin: 'https://evil.example' }],
  ['a sandboxed frame', '127.0.0.1', { host, origin: 'null' }],
  [
    'a foreign name that was bound to this machine',
    '127.0.0.1',
    { host: 'evil.example:4000', 'sec-fetch-site': 'same-origin' },
  ],
  ['a name that only begins like ours', '127.0.0.1', { host: 'localhost.evil.example' }],
  ['a name that only ends like ours', '127.0.0.1', { host: 'evillocalhost' }],
  ['no name', '127.0.0.1', {}],
  ['a name that is none', '127.0.0.1', { host: 'a b' }],
  ['what a proxy passes on', '127.0.0.1', { host, 'x-forwarded-for': '203.0.113.9' }],
])('%s is not', (_what, remoteAddress, headers) => {
  expect(isFromThisMachine({ remoteAddress, headers })).toBe(false);
});
