/**
 * Where a request comes from, for the audit. Each proxy adds the address that it was called from to the end of `x-forwarded-for`; what
 * stands before that is the client's own text. So the list is read from its end, as far as the addresses are those of
 * proxies that the configuration names. Without such proxies it is the address of the connection, whatever the header says.
 */
import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

export type ClientAddressOf = (
  remoteAddress: string | undefined,
  forwardedFor: string | undefined,
) => string | undefined;

/** `proxies`: addresses, and networks like `10.0.0.0/8`. */
export function createClientAddressOf(proxies: readonly string[]): ClientAddressOf {
  const networks = proxies.map((entry) => {
    if (ipaddr.isValidCIDR(entry)) return ipaddr.parseCIDR(entry);
    const address = ipaddr.process(entry);
    return [address, address.kind() === 'ipv4' ? 32 : 128] as [ipaddr.IPv4 | ipaddr.IPv6, number];
  });
  const isProxy = (text: string): boolean => {
    const address = ipaddr.process(text);
    return networks.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
  };
  return (remoteAddress, forwardedFor) => {
    // The usual case, in which nothing has to be understood.
    if (networks.length === 0 && remoteAddress !== undefined && isIPv4(remoteAddress)) return remoteAddress;
    if (remoteAddress === undefined || !ipaddr.isValid(remoteAddress)) return undefined;
    let address = remoteAddress;
    for (const hop of (forwardedFor ?? '').split(',').toReversed()) {
      const before = hop.trim();
      if (!isProxy(address) || !ipaddr.isValid(before)) break;
      address = before;
    }
    return ipaddr.process(address).toString();
  };
}
