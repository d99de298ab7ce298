/** What webhooks may reach. Resolution is the one thing replaced: rebinding needs a name server of one's own. */
import type { LookupAddress } from 'node:dns';
import { expect, test } from 'vitest';
import { createAddressGuard } from '../../../../subgraphs/actions/webhook/endpoint/address-guard.js';
import { readEndpointUrl } from '../../../../subgraphs/actions/webhook/endpoint/endpoint-url.js';

const guard = createAddressGuard([]);

const inside = [
  ...['127.0.0.1', '127.9.9.9', '0.0.0.0', '10.0.0.1', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1'],
  ...['224.0.0.1', '255.255.255.255', '192.0.0.192', '198.18.0.1', '240.0.0.1', '168.63.129.16'],
  ...[
    '[::1]',
    '[::]',
    '[fe80::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:a00:1]',
    '[::7f00:1]',
  ],
  ...[
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[2001:0:7f00::]',
    '[fec0::1]',
    '[100::1]',
    'localhost',
    'a.localhost',
    'localhost.',
  ],
  // Other ways to write 127.0.0.1 and 10.0.0.1, which a URL turns into these.
  ...['2130706433', '0x7f000001', '0177.0.0.1', '127.1', '10.1'],
];

test.each(inside)('%s is refused when a webhook is made', (host) => {
  expect(() => readEndpointUrl(`https://${host}/hook`, 'input.url', { allowHttp: false, guard })).toThrow(
    /input\.url leads to .*WEBHOOK_ALLOWED_HOSTS/,
  );
});

test.each(['https://example.com/a?b=c', 'https://93.184.215.14/', 'https://[2606:4700::1111]:8443/'])(
  '%s is taken',
  (url) => {
    expect(readEndpointUrl(url, 'input.url', { allowHttp: false, guard })).toBe(url);
  },
);

test.each([
  ['http://example.com/', /https/],
  ['ftp://example.com/', /"ftp:"/],
  ['https://user:secret@example.com/', /user name or password/],
  ['https://example.com/#part', /fragment/],
  ['example.com/hook', /no URL/],
  [`https://example.com/${'a'.repeat(2_100)}`, /2048/],
])('%s is refused with its reason', (url, reason) => {
  expect(() => readEndpointUrl(url, 'input.url', { allowHttp: false, guard })).toThrow(reason);
});

/** Looks the host up as a connection does. */
function lookedUp(allowed: readonly string[], found: readonly LookupAddress[], host = 'hooks.example.com') {
  const { lookup } = createAddressGuard(allowed, (async () => found) as never);
  return new Promise<unknown>((resolve, reject) => {
    lookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)));
  });
}

const publicOne = { address: '93.184.215.14', family: 4 };
const privateOne = { address: '10.0.0.7', family: 4 };

test('a name that resolves to a private address is refused at the connection, also beside public ones', async () => {
  await expect(lookedUp([], [publicOne])).resolves.toEqual([publicOne]);
  await expect(lookedUp([], [privateOne])).rejects.toThrow(/10\.0\.0\.7/);
  await expect(lookedUp([], [publicOne, privateOne])).rejects.toThrow(/10\.0\.0\.7/);
  await expect(lookedUp([], [{ address: '::ffff:10.0.0.7', family: 6 }])).rejects.toThrow();
  await expect(lookedUp([], [])).rejects.toThrow(/no address/);
});

test('what the configuration names is allowed, and nothing beside it', async () => {
  await expect(lookedUp(['10.0.0.0/24'], [privateOne])).resolves.toEqual([privateOne]);
  await expect(lookedUp(['10.0.1.0/24'], [privateOne])).rejects.toThrow();
  await expect(lookedUp(['hooks.example.com'], [privateOne])).resolves.toEqual([privateOne]);
  await expect(lookedUp(['example.com'], [privateOne])).rejects.toThrow();
  expect(createAddressGuard(['127.0.0.1']).refusal('127.0.0.1')).toBeUndefined();
  expect(createAddressGuard(['127.0.0.1']).refusal('127.0.0.2')).toBeDefined();
});
