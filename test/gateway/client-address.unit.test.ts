import { expect, test } from 'vitest';
import { createClientAddressOf } from '../../gateway/client-address.js';

test.each([
  ['without proxies, the connection counts and the header does not', [], '203.0.113.7', '198.51.100.1', '203.0.113.7'],
  ['behind a proxy, what the proxy has added', ['10.0.0.0/8'], '10.1.2.3', '198.51.100.1', '198.51.100.1'],
  [
    'what a client has written before it is not believed',
    ['10.0.0.0/8'],
    '10.1.2.3',
    '1.1.1.1, 198.51.100.1',
    '198.51.100.1',
  ],
  ['behind two proxies', ['10.0.0.0/8', '192.0.2.9'], '10.1.2.3', '198.51.100.1, 192.0.2.9', '198.51.100.1'],
  ['a caller that is no proxy is not believed', ['10.0.0.0/8'], '203.0.113.7', '198.51.100.1', '203.0.113.7'],
  ['nonsense ends the list', ['10.0.0.0/8'], '10.1.2.3', 'unknown', '10.1.2.3'],
  ['IPv4 in IPv6 is IPv4', ['10.0.0.0/8'], '::ffff:10.1.2.3', '2001:db8::1', '2001:db8::1'],
  ['a proxy without the header', ['10.0.0.0/8'], '10.1.2.3', undefined, '10.1.2.3'],
  ['no connection', [], undefined, '198.51.100.1', undefined],
])('%s', (_what, proxies, remote, forwarded, expected) => {
  expect(createClientAddressOf(proxies)(remote, forwarded)).toBe(expected);
});
