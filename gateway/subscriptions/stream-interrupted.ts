/** A stream that broke off for a reason that has nothing to do with what was asked for: it may be taken up again. */
import { FleetgraphError } from '../../platform/errors.js';
import { EndedBySubgraph } from './subgraph-errors.js';

export class StreamInterrupted extends FleetgraphError {
  constructor(cause: unknown) {
    super(
      'UNAVAILABLE',
      'The stream was interrupted. Subscribe again, with "since" set to the last cursor where the field takes it.',
      { cause },
    );
    this.name = 'StreamInterrupted';
  }
}

/** Whether the subgraph, or the way there, broke off, rather than refuse. */
export function isInterruption(error: unknown): boolean {
  if (error instanceof StreamInterrupted) return true;
  // LAGGED: this gateway took events too slowly, and takes them up behind the last one that it has.
  return error instanceof EndedBySubgraph && (error.hasOnlyCode('UNAVAILABLE') || error.hasOnlyCode('LAGGED'));
}
