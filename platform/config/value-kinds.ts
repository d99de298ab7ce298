/** What the value of a variable may be: text, read and checked. */
import { isIP } from 'node:net';
import { z } from 'zod';

export const port = z.coerce.number().int().min(0).max(65_535);
export const positiveInteger = z.coerce.number().int().positive();
export const nonNegativeInteger = z.coerce.number().int().nonnegative();
export const flag = z.enum(['true', 'false', '1', '0']).transform((value) => value === 'true' || value === '1');
export const url = (...protocols: string[]) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol),
      `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
    );

export const brokerList = z
  .string()
  .transform((value) => value.split(',').map((broker) => broker.trim()))
  .refine(
    (brokers) => brokers.every((broker) => /^(?:\[[0-9a-fA-F:]+\]|[^\s:/,]+):\d{1,5}$/.test(broker)),
    'must be a list of host:port, separated by commas',
  );

/** Host names and networks: `hooks.internal,10.1.0.0/16,fd00::/8`; a bare address is a network of one. */
export const hostList = z
  .string()
  .transform((value) => value.split(',').map((part) => part.trim().toLowerCase()))
  .refine(
    (parts) => parts.every((part) => /^[a-z0-9._-]+$/.test(part) || /^[0-9a-f.:]+(\/\d{1,3})?$/.test(part)),
    'must be a list of host names, addresses and networks (10.1.0.0/16), separated by commas',
  );

/** Addresses and networks: `10.0.0.0/8,fd00::1`. */
export const networkList = z
  .string()
  .transform((value) => value.split(',').map((part) => part.trim()))
  .refine(
    (parts) =>
      parts.every((part) => /^[0-9a-fA-F.:]+(\/\d{1,3})?$/.test(part) && isIP(part.replace(/\/\d+$/, '')) !== 0),
    'must be a list of addresses and networks (10.0.0.0/8), separated by commas',
  );

export const secondsList = z
  .string()
  .transform((value) => value.split(',').map((part) => Number(part.trim())))
  .refine(
    (seconds) => seconds.length <= 20 && seconds.every((value) => value > 0 && value <= 86_400),
    'must be at most 20 pauses of up to 86400 seconds, separated by commas',
  );
