/** What an error of kafkajs means: the cause is often wrapped twice. */
import type { PublishFault } from '../publish-queue.js';

/** Name of the protocol error (`UNKNOWN_TOPIC_OR_PARTITION` …) anywhere in the chain of causes. */
export function protocolErrorOf(error: unknown): string | undefined {
  let cause = error;
  for (let depth = 0; depth < 8 && typeof cause === 'object' && cause !== null; depth += 1) {
    if ('type' in cause && typeof cause.type === 'string') return cause.type;
    if ('errors' in cause && Array.isArray(cause.errors)) {
      const found: string | undefined = cause.errors.map(protocolErrorOf).find((type) => type !== undefined);
      if (found !== undefined) return found;
    }
    cause = 'cause' in cause ? cause.cause : 'originalError' in cause ? cause.originalError : undefined;
  }
  return undefined;
}

/** Errors for which the same records would be refused again. */
const contentErrors = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP']);

export function publishFault(error: unknown): PublishFault {
  return contentErrors.has(protocolErrorOf(error) ?? '') ? 'content' : 'away';
}

/** Errors of a partition whose leader is new or about to be chosen: the next answer of the cluster knows better. */
const leadershipErrors = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'NOT_CONTROLLER',
]);

/** True when the same question has an answer soon, from a client that asks the cluster anew who leads. */
export function isLeadershipError(error: unknown): boolean {
  return leadershipErrors.has(protocolErrorOf(error) ?? '');
}
