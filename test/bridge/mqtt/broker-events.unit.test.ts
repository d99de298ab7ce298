import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseBrokerEvent, type BrokerEvent } from '../../../bridge/mqtt/broker-events.js';
import { latestPresence } from '../../../subgraphs/device/presence/latest-presence.js';
import { evolve, type Presence } from '../../../workers/projector/presence/evolve-presence.js';

const topicOf = (kind: string, clientId = 'pump-1') => `$SYS/brokers/emqx@127.0.0.1/clients/${clientId}/${kind}`;
const connection = {
  clientid: 'pump-1',
  username: 'pump-1',
  ipaddress: '10.0.0.7',
  sockport: 1883,
  protocol: 'mqtt',
  proto_name: 'MQTT',
  proto_ver: 4,
  connected_at: 1_700_000_000_000,
  ts: 1_700_000_000_005,
};
const parse = (kind: string, message: object, clientId?: string) =>
  parseBrokerEvent(topicOf(kind, clientId), Buffer.from(JSON.stringify(message)));

test('reads who connected and who is gone, with the same time for both ends of a connection', () => {
  const common = { clientId: 'pump-1', username: 'pump-1', connectedAt: 1_700_000_000_000, topic: undefined };
  expect(parse('connected', { ...connection, keepalive: 60, clean_start: true, expiry_interval: 0 })).toEqual({
    kind: 'connected',
    ...common,
  });
  expect(parse('disconnected', { ...connection, reason: 'takenover', disconnected_at: 1_700_000_009_000 })).toEqual({
    kind: 'disconnected',
    ...common,
  });
});

test('reads a subscription, whose only time is its own', () => {
  const { clientid, username, ts } = connection;
  expect(
    parse('subscribed', { clientid, username, ts, topic: 'fleet/acme/pump-1/command', subopts: { qos: 1 } }),
  ).toEqual({ kind: 'subscribed', clientId: clientid, username, connectedAt: ts, topic: 'fleet/acme/pump-1/command' });
});

test('takes nothing without a usable time, of another client than its topic says, or from elsewhere', () => {
  for (const connectedAt of [undefined, null, '1700000000000', 0, -1, 1.5, 1e300])
    expect(parse('disconnected', { ...connection, connected_at: connectedAt })).toBeUndefined();
  expect(parse('connected', connection, 'pump-2')).toBeUndefined();
  expect(parse('unsubscribed', connection)).toBeUndefined();
  const payload = Buffer.from(JSON.stringify(connection));
  expect(parseBrokerEvent('fleet/acme/pump-1/presence', payload)).toBeUndefined();
  expect(parseBrokerEvent('$SYS/brokers/node/gateway/stomp/clients/pump-1/connected', payload)).toBeUndefined();
});

test('never throws, whatever the payload is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string(), fc.constant('null'), fc.constant('[]')), (text) => {
      expect(parseBrokerEvent(topicOf('connected'), Buffer.from(text))).toBeUndefined();
    }),
  );
});

/** Connections of a device, each of which begins before the one before it is told to have ended: takeovers. */
const events = fc
  .uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 6 })
  .chain((times) => fc.record({ times: fc.constant(times.sort((a, b) => a - b)), stays: fc.boolean() }))
  .map(({ times, stays }) => ({
    stays,
    told: times.flatMap((at, index) => [
      { kind: 'connected', at },
      ...(stays && index === times.length - 1 ? [] : [{ kind: 'disconnected', at }]),
    ]),
  }));

test('presence ends the same in whatever order, and however often, a device is told to come and go', () => {
  fc.assert(
    fc.property(
      events.chain(({ stays, told }) =>
        fc.record({
          stays: fc.constant(stays),
          heard: fc
            .tuple(fc.array(fc.constantFrom(...told)), fc.constant(told))
            .chain(([again, all]) => fc.shuffledSubarray([...all, ...again], { minLength: all.length + again.length })),
        }),
      ),
      ({ stays, heard }) => {
        const parsed = heard.map(({ kind, at }) => parse(kind, { ...connection, connected_at: at }) as BrokerEvent);
        const never: Presence = { online: false, session: 0, lastSeenMs: null };
        const state = parsed.reduce(
          (before, { kind, connectedAt }) =>
            evolve(before, {
              kind: kind === 'connected' ? 'online' : 'offline',
              session: connectedAt,
              atMs: connectedAt,
            }),
          never,
        );
        expect(state.online).toBe(stays);
        const [latest] = latestPresence(
          parsed.map(({ kind, clientId, connectedAt }) => ({
            deviceId: clientId,
            tenant: 'acme',
            online: kind === 'connected',
            session: connectedAt,
          })),
        );
        expect(latest).toMatchObject({ online: stays, session: state.session });
      },
    ),
  );
});
