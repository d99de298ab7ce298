/** The token of read-your-writes: names the last event of a mutation, opaque to clients. */
import { z } from 'zod';
import { FleetgraphError } from '../../platform/errors.js';

const content = z.object({ e: z.uuid() });

/** The token for the event with this id. */
export function consistencyTokenOf(eventId: string): string {
  return Buffer.from(JSON.stringify({ e: eventId })).toString('base64url');
}

/** The id of the event that the token names. @throws FleetgraphError BAD_USER_INPUT when it isn't a token of ours. */
export function eventIdOf(token: string): string {
  try {
    return content.parse(JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))).e;
  } catch (cause) {
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The header x-fleetgraph-consistency holds no consistency token. Send the "consistencyToken" of a mutation, unchanged.',
      { cause },
    );
  }
}
