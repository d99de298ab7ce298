import { KafkaJSNumberOfRetriesExceeded, KafkaJSProtocolError } from 'kafkajs';
import { expect, test } from 'vitest';
import { isLeadershipError, protocolErrorOf, publishFault } from '../../../../backbone/bus/kafka/kafka-errors.js';
import { FleetgraphError } from '../../../../platform/errors.js';

/** As kafkajs gives an error of the protocol: with its name, wrapped when it was tried again. */
function protocolError(type: string): Error {
  return Object.assign(new KafkaJSProtocolError(new Error(type)), { type });
}

test('the name of a protocol error is found through what wraps it', () => {
  const error = protocolError('NOT_LEADER_FOR_PARTITION');
  const wrapped = new KafkaJSNumberOfRetriesExceeded(error, { retryCount: 5, retryTime: 300 });
  expect(protocolErrorOf(error)).toBe('NOT_LEADER_FOR_PARTITION');
  expect(protocolErrorOf(new FleetgraphError('UNAVAILABLE', 'away', { cause: wrapped }))).toBe(
    'NOT_LEADER_FOR_PARTITION',
  );
  expect(protocolErrorOf(new Error('socket closed'))).toBeUndefined();
});

test('a change of leaders is told from what stays wrong', () => {
  for (const type of ['NOT_LEADER_FOR_PARTITION', 'LEADER_NOT_AVAILABLE'])
    expect(isLeadershipError(protocolError(type)), type).toBe(true);
  for (const type of ['UNKNOWN_TOPIC_OR_PARTITION', 'TOPIC_AUTHORIZATION_FAILED', 'MESSAGE_TOO_LARGE'])
    expect(isLeadershipError(protocolError(type)), type).toBe(false);
  expect(isLeadershipError(new Error('connect ECONNREFUSED'))).toBe(false);
});

test('records that are too large are refused for what they are', () => {
  expect(publishFault(protocolError('MESSAGE_TOO_LARGE'))).toBe('content');
  expect(publishFault(protocolError('NOT_ENOUGH_REPLICAS'))).toBe('away');
});
