/**
 * Whether the gateway gets new supergraphs: said in the log when that changes, counted at each attempt, and shown by the readiness.
 * A gateway that does not goes on with the supergraph that it has.
 */
import type { Logger } from '../../platform/observability/logger.js';
import type { GatewayMetrics } from '../gateway-metrics.js';

export interface SupergraphUpdates {
  /** A supergraph is in use from now on. */
  applied(): void;
  /** The source still has the supergraph that it had. */
  unchanged(): void;
  /** The source has none: a file that can't be read, subgraphs that do not answer or do not compose. */
  failed(reason: string): void;
  /** What the source has can't be used. */
  rejected(error: Error): void;
  /** Why the gateway does not have the newest supergraph, and since when; undefined if it has it. */
  problem(): UpdateProblem | undefined;
}

export interface UpdateProblem {
  /** The beginning of it; the log has all. */
  readonly reason: string;
  /** ISO 8601. */
  readonly since: string;
}

const maxReasonLength = 500;

export function createSupergraphUpdates(options: {
  readonly log: Logger;
  readonly metrics: Pick<GatewayMetrics, 'supergraphUpdates' | 'supergraphSuccess'>;
}): SupergraphUpdates {
  const { log, metrics } = options;
  let failure: string | undefined;
  let rejection: string | undefined;
  let since: string | undefined;

  /** @returns whether it is another reason than before. */
  const note = (change: () => void): boolean => {
    const before = failure ?? rejection;
    change();
    const now = failure ?? rejection;
    if (now === undefined) {
      metrics.supergraphSuccess.setToCurrentTime();
      if (before !== undefined) log.info('supergraph updates work again');
      since = undefined;
    } else since ??= new Date().toISOString();
    return now !== before;
  };

  return {
    applied() {
      metrics.supergraphUpdates.inc({ outcome: 'applied' });
      note(() => {
        failure = undefined;
        rejection = undefined;
      });
    },
    unchanged() {
      note(() => {
        failure = undefined;
      });
    },
    failed(reason) {
      metrics.supergraphUpdates.inc({ outcome: 'failed' });
      const isNew = note(() => {
        failure = reason;
      });
      if (isNew) log.warn({ reason }, 'supergraph update failed; the gateway keeps the one that it has');
    },
    rejected(error) {
      metrics.supergraphUpdates.inc({ outcome: 'rejected' });
      note(() => {
        failure = undefined;
        rejection = error.message;
      });
      // Once for each supergraph: the source tells of the same one once.
      log.error({ err: error }, 'new supergraph rejected; the gateway keeps the one that it has');
    },
    problem() {
      const reason = failure ?? rejection;
      return reason === undefined || since === undefined
        ? undefined
        : { reason: reason.slice(0, maxReasonLength), since };
    },
  };
}
