/** How much may come beside the text of an operation: each variable is copied to whichever subgraph wants it. */
import { FleetgraphError } from '../../platform/errors.js';

/** @param bytes of the body without the text of the operation. @throws FleetgraphError PAYLOAD_TOO_LARGE */
export function refuseLargeVariables(bytes: number, max: number): void {
  if (bytes > max)
    throw new FleetgraphError(
      'PAYLOAD_TOO_LARGE',
      `The variables have about ${bytes} bytes, of at most ${max}. Send them in several requests.`,
    );
}
