/** Any data that a type of event may have. */
import fc, { type Arbitrary } from 'fast-check';
import type { EventData, EventType } from '../../../backbone/events/catalogue.js';

const id = fc.string({ minLength: 1, maxLength: 30, unit: 'grapheme' });
const text = fc.string({ maxLength: 40, unit: 'grapheme' });
/** JSON has no -0, and the schemas leave a member "__proto__" out. */
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0 || 0);
const epochMs = fc.double({ min: 0, max: 4e12, noNaN: true }).map((value) => value || 0);
const json = fc
  .jsonValue({ maxDepth: 3 })
  .map(
    (value) =>
      JSON.parse(JSON.stringify(value), (key, member: unknown) =>
        key === '__proto__' ? undefined : member,
      ) as EventData<'io.fleetgraph.command.requested.v1'>['parameters'],
  );
const object = fc.dictionary(
  text.filter((key) => key !== '__proto__'),
  json,
  { noNullPrototype: true },
);
const labels = fc.dictionary(
  id.filter((key) => key !== '__proto__'),
  text,
  { noNullPrototype: true },
);
const dateTime = fc
  .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
  .map((date) => date.toISOString());
const device = fc.record({ deviceId: id, name: text, typeId: id, labels });
const command = fc.record({ commandId: id, deviceId: id });
const failed = fc.record({ commandId: id, deviceId: id, error: text });
const signal = fc.record({ commandId: id, deviceId: id, at: epochMs });
const version = fc.maxSafeInteger();
const digits = fc.bigInt({ min: 0n, max: 10n ** 25n }).map(String);

export const dataOf: { readonly [T in EventType]: Arbitrary<EventData<T>> } = {
  'io.fleetgraph.device-type.defined.v1': fc.record(
    {
      typeId: id,
      name: text,
      description: text,
      metrics: fc.array(
        fc.record(
          { name: id, kind: fc.constantFrom('NUMBER', 'BOOLEAN', 'STRING'), unit: text, description: text },
          { requiredKeys: ['name', 'kind'] },
        ),
      ),
      decoder: text,
    },
    { requiredKeys: ['typeId', 'name', 'metrics', 'decoder'] },
  ),
  'io.fleetgraph.device.registered.v1': device,
  'io.fleetgraph.device.updated.v1': device,
  'io.fleetgraph.device.decommissioned.v1': fc.record({ deviceId: id }),
  'io.fleetgraph.device.credentials-rotated.v1': fc.record({ deviceId: id, clientId: id }),
  'io.fleetgraph.device.desired-state-set.v1': fc.record({ deviceId: id, desired: object, version }),
  'io.fleetgraph.device.reported-state-changed.v1': fc.record({ deviceId: id, reported: object, version }),
  'io.fleetgraph.command.requested.v1': fc.record({
    ...{ commandId: id, deviceId: id, name: text, parameters: json, expiresAt: dateTime },
  }),
  'io.fleetgraph.command.sent.v1': command,
  'io.fleetgraph.command.delivered.v1': command,
  'io.fleetgraph.command.succeeded.v1': fc.record({ commandId: id, deviceId: id, result: json }),
  'io.fleetgraph.command.failed.v1': failed,
  'io.fleetgraph.command.rejected.v1': failed,
  'io.fleetgraph.command.expired.v1': command,
  'io.fleetgraph.command.canceled.v1': command,
  'io.fleetgraph.telemetry.received.v1': fc.record({
    deviceId: id,
    readings: fc.array(fc.record({ metric: id, at: epochMs, value: fc.oneof(number, fc.boolean(), text) }), {
      minLength: 1,
    }),
  }),
  'io.fleetgraph.presence.changed.v1': fc.record({
    deviceId: id,
    online: fc.boolean(),
    session: epochMs,
    at: epochMs,
    reason: fc.constantFrom('connected', 'disconnected', 'will', 'timeout', 'kicked'),
  }),
  'io.fleetgraph.presence.reset.v1': fc.record({ session: epochMs, at: epochMs }),
  'io.fleetgraph.command.dispatched.v1': signal,
  'io.fleetgraph.command.received.v1': signal,
  'io.fleetgraph.command.acknowledged.v1': fc.record(
    {
      ...{ commandId: id, deviceId: id, at: epochMs, result: json, error: text },
      status: fc.constantFrom('SUCCEEDED', 'FAILED', 'REJECTED'),
    },
    { requiredKeys: ['commandId', 'deviceId', 'at', 'status'] },
  ),
  'io.fleetgraph.device.state-reported.v1': fc.record({ deviceId: id, reported: object, at: epochMs }),
  'io.fleetgraph.device.event-raised.v1': fc.record({ deviceId: id, name: id, data: json, at: epochMs }),
  'io.fleetgraph.projection.changed.v1': fc.record({
    seq: digits,
    entity: fc.constantFrom('device', 'command', 'event'),
    ...{ id, version: digits, at: dateTime, payload: json },
  }),
};
