/**
 * Which addresses a webhook may reach: those of the public internet, and what the configuration allows. Anything else would
 * let a tenant make us call our own network (server-side request forgery, https://owasp.org/Top10/A10_2021-Server-Side_Request_Forgery_(SSRF)/).
 * Invariant: the address that is checked is the one that is connected to. A name is resolved by the connection itself, and
 * the check is part of that resolution (`lookup`), so that a name that resolves to something else the second time (DNS
 * rebinding) is checked the second time too. An address in place of a name is never looked up: `refusal` is for that.
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

export interface AddressGuard {
  /** Why this host of a URL (name or address) can't be an endpoint; undefined if it may. Names are not resolved. */
  refusal(host: string): string | undefined;
  /** Resolves a name as `node:net` asks for it; fails with `ForbiddenAddress` if any address of it may not be reached. */
  readonly lookup: LookupFunction;
}

/** The endpoint is at an address that may not be called. */
export class ForbiddenAddress extends Error {
  readonly code = 'FORBIDDEN_ADDRESS';
  constructor(host: string, address: string) {
    super(
      `${host} is at ${address}, which is not an address of the public internet. An operator can allow it with WEBHOOK_ALLOWED_HOSTS.`,
    );
    this.name = 'ForbiddenAddress';
  }
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Reached through a public address, but of a cloud's inside: Azure's platform endpoint. */
const insides = new Set(['168.63.129.16']);

/** IPv6 has its public addresses in here; what lies outside and is not named by a registry counts as public elsewhere. */
const globalUnicast = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

/** `allowed`: host names, addresses, and networks like `10.0.0.0/8`. `resolve` is replaceable to test rebinding. */
export function createAddressGuard(
  allowed: readonly string[],
  resolve?: typeof systemLookup.__promisify__,
): AddressGuard {
  const networks = allowed.filter(isNetwork).map(networkOf);
  const names = new Set(allowed.filter((entry) => !isNetwork(entry)));

  const mayReach = (text: string): boolean => {
    if (!ipaddr.isValid(text)) return false;
    // An IPv4 address that is written as IPv6 (::ffff:10.0.0.1) is the IPv4 address.
    const address = ipaddr.process(text);
    return networks.some((network) => contains(network, address)) || isPublic(address);
  };

  const addressesOf = (host: string, answer: (error: Error | null, found: readonly LookupAddress[]) => void): void => {
    if (resolve === undefined) {
      systemLookup(host, { all: true }, (error, found) => answer(error, found));
      return;
    }
    resolve(host, { all: true }).then(
      (found) => answer(null, found),
      (error: unknown) => answer(error instanceof Error ? error : new Error(String(error)), []),
    );
  };

  return {
    refusal(host) {
      const name = bare(host);
      if (names.has(name.toLowerCase())) return undefined;
      // `localhost` and what is below it are this machine wherever they are resolved (RFC 6761, 6.3).
      if (/(^|\.)localhost\.?$/i.test(name)) return 'is this machine itself';
      if (!ipaddr.isValid(name)) return undefined;
      return mayReach(name) ? undefined : 'is not an address of the public internet';
    },
    lookup(host, options, callback) {
      addressesOf(host, (error, found) => {
        if (error !== null) {
          callback(error, '', 4);
          return;
        }
        const forbidden = names.has(bare(host).toLowerCase())
          ? undefined
          : found.find(({ address }) => !mayReach(address));
        const [first] = found;
        // One address of several is enough to refuse: which of them is connected to is not ours to say.
        if (forbidden !== undefined) callback(new ForbiddenAddress(host, forbidden.address), '', 4);
        else if (first === undefined) callback(new Error(`${host} has no address`), '', 4);
        else if (options.all === true) callback(null, [...found]);
        else callback(null, first.address, first.family);
      });
    },
  };
}

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast' || insides.has(address.toString())) return false;
  return address.kind() === 'ipv4' || contains(globalUnicast, address);
}

function contains([network, bits]: readonly [Address, number], address: Address): boolean {
  return network.kind() === address.kind() && address.match(network, bits);
}

function isNetwork(entry: string): boolean {
  return ipaddr.isValidCIDR(entry) || ipaddr.isValid(entry);
}

function networkOf(entry: string): [Address, number] {
  if (ipaddr.isValidCIDR(entry)) return ipaddr.parseCIDR(entry);
  const address = ipaddr.process(entry);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/** The host of a URL without the brackets of IPv6. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
