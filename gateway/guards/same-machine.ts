/**
 * Whether a request was made on this machine by a page of ours or by hand. It guards what a development machine gives away
 * without a token: a page of another site must not get at it, neither directly (`Sec-Fetch-Site`, `Origin`) nor by DNS
 * rebinding, which lets a foreign name resolve to this machine but leaves that name in `Host`.
 * Source: https://www.w3.org/TR/fetch-metadata/
 */
import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

export interface Requested {
  /** Address of the other end of the socket, not what a header says. */
  readonly remoteAddress: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export function isFromThisMachine({ remoteAddress, headers }: Requested): boolean {
  if (remoteAddress === undefined || !isLoopback(remoteAddress)) return false;
  const { host, origin } = headers;
  const site = headers['sec-fetch-site'];
  if (typeof host !== 'string' || !isLoopbackName(hostnameOf(`http://${host}`))) return false;
  // A proxy on this machine makes the whole world look local.
  if (headers['x-forwarded-for'] !== undefined || headers['forwarded'] !== undefined) return false;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return origin === undefined || origin === `http://${host}`;
}

function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, '$1') : undefined;
}

function isLoopbackName(name: string | undefined): boolean {
  // RFC 6761, section 6.3: "localhost" and what is under it never leave the machine.
  return name !== undefined && (/^(.+\.)?localhost$/i.test(name) || isLoopback(name));
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  const version = isIP(plain);
  return version !== 0 && loopback.check(plain, version === 4 ? 'ipv4' : 'ipv6');
}
