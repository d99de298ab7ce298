/**
 * The cursor of a subscription: opaque to clients, bound to a tenant and a field.
 * It names the tenant's change that the client has seen everything up to; or that its snapshot was not complete yet, so
 * that resuming begins with the snapshot again.
 */
import { z } from 'zod';
import { FleetgraphError } from '../../../platform/errors.js';

/** Fields of `Subscription` whose payloads carry cursors. */
export type StreamName =
  'deviceState' | 'deviceStates' | 'deviceTwin' | 'telemetry' | 'command' | 'alerts' | 'events' | 'fleet';

/** What a client has seen: everything up to a change, or part of a snapshot. */
export type Seen = bigint | 'partOfSnapshot';

// At most 18 digits: always within a bigint of PostgreSQL.
const content = z.object({ t: z.string(), k: z.string(), s: z.union([z.string().regex(/^\d{1,18}$/), z.null()]) });

export function encodeResumeCursor(tenant: string, stream: StreamName, seen: Seen): string {
  const value: z.infer<typeof content> = {
    t: tenant,
    k: stream,
    s: seen === 'partOfSnapshot' ? null : seen.toString(),
  };
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** What the cursor says; undefined if none is given. @throws FleetgraphError BAD_USER_INPUT if it is not one of this tenant and stream. */
export function decodeResumeCursor(
  tenant: string,
  stream: StreamName,
  cursor: string | null | undefined,
): Seen | undefined {
  if (cursor === null || cursor === undefined) return undefined;
  const parsed = parse(cursor);
  if (parsed?.t !== tenant || parsed.k !== stream)
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `"since" is not a cursor of ${stream} in this tenant. Send the "cursor" of the last payload of the same subscription, unchanged.`,
      { field: 'since' },
    );
  return parsed.s === null ? 'partOfSnapshot' : BigInt(parsed.s);
}

function parse(cursor: string): z.infer<typeof content> | undefined {
  try {
    return content.safeParse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
