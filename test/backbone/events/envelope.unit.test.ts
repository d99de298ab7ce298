/** The codec between events and records: the binary mode of the CloudEvents binding for Kafka, without loss. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { catalogue, isEventType, type EventType } from '../../../backbone/events/catalogue.js';
import { consistencyTokenOf, eventIdOf } from '../../../backbone/events/consistency-token.js';
import { decode, encode, EventDecodingError, makeEvent, type Event } from '../../../backbone/events/envelope.js';
import { dataOf } from './event-data.js';

const text = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
const event = fc.constantFrom(...(Object.keys(catalogue) as EventType[])).chain((type) =>
  fc
    .record(
      {
        subject: text,
        tenant: fc.stringMatching(/^[a-z0-9-]{1,20}$/),
        id: fc.uuid(),
        time: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString()),
        actor: text,
        traceparent: text,
        correlationid: text,
        causationid: fc.uuid(),
        data: dataOf[type],
      },
      { requiredKeys: ['subject', 'tenant', 'id', 'time', 'data'] },
    )
    .map((parts) => makeEvent({ ...parts, type, source: '/test' })),
);

test('property: every type of event comes back as it went in', () => {
  fc.assert(
    fc.property(event, (original) => {
      const { headers, value } = encode(original);
      expect(decode({ headers, value })).toEqual(original);
    }),
    { numRuns: 500 },
  );
});

test('a record has the attributes in headers, the data as its value, and its subject as key', () => {
  const original = makeEvent({
    type: 'io.fleetgraph.device.decommissioned.v1',
    source: '/device',
    subject: 'd1',
    tenant: 'acme',
    data: { deviceId: 'd1' },
    id: '0190a000-0000-7000-8000-000000000000',
    time: '2026-01-01T00:00:00.000Z',
    actor: 'ann',
  });
  expect(encode(original)).toEqual({
    key: 'd1',
    value: '{"deviceId":"d1"}',
    headers: {
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: '0190a000-0000-7000-8000-000000000000',
      ce_source: '/device',
      ce_type: 'io.fleetgraph.device.decommissioned.v1',
      ce_subject: 'd1',
      ce_time: '2026-01-01T00:00:00.000Z',
      ce_dataschema: 'https://fleetgraph.io/schemas/io.fleetgraph.device.decommissioned.v1.json',
      ce_tenant: 'acme',
      ce_actor: 'ann',
    },
  });
});

const good = encode(
  makeEvent({
    type: 'io.fleetgraph.device.decommissioned.v1',
    source: '/device',
    subject: 'd1',
    tenant: 'acme',
    data: { deviceId: 'd1' },
  }),
);

test.each(['specversion', 'id', 'source', 'type', 'subject', 'time', 'dataschema', 'tenant'])(
  'a record without %s is not decoded, and says so',
  (attribute) => {
    const headers = Object.fromEntries(Object.entries(good.headers).filter(([name]) => name !== `ce_${attribute}`));
    expect(() => decode({ value: good.value, headers })).toThrow(
      new EventDecodingError(`The record has no CloudEvents attribute "${attribute}".`),
    );
  },
);

test.each([
  ['another version of CloudEvents', { ce_specversion: '0.3' }, good.value, /version 0.3 is not supported/],
  ['a type that nobody knows', { ce_type: 'io.example.v1' }, good.value, /io\.example\.v1 is not in the catalogue/],
  ['a type that is a property of every object', { ce_type: 'constructor' }, good.value, /not in the catalogue/],
  ['data that is not JSON', {}, '{', /is not JSON/],
  ['data of another shape', {}, '{"deviceId":""}', /does not fit its schema/],
])('%s is refused', (_what, headers, value, message) => {
  expect(() => decode({ value, headers: { ...good.headers, ...headers } })).toThrow(message);
});

test('property: whatever stands in a record, decoding gives an event of the catalogue or an EventDecodingError', () => {
  const headers = fc
    .dictionary(fc.constantFrom(...Object.keys(good.headers)), fc.string())
    .map((some) => ({ ...good.headers, ...some }));
  fc.assert(
    fc.property(headers, fc.oneof(fc.string(), fc.json()), (some, value) => {
      let decoded: Event;
      try {
        decoded = decode({ headers: some, value });
      } catch (error) {
        expect(error).toBeInstanceOf(EventDecodingError);
        return;
      }
      expect(isEventType(decoded.type)).toBe(true);
    }),
  );
});

test('an event whose data is wrong is not made', () => {
  expect(() =>
    makeEvent({
      type: 'io.fleetgraph.device.decommissioned.v1',
      source: '/x',
      subject: 's',
      tenant: 't',
      data: { deviceId: '' },
    }),
  ).toThrow(expect.objectContaining({ code: 'INTERNAL_SERVER_ERROR' }) as Error);
});

test('property: a consistency token names the event it was made of', () => {
  fc.assert(
    fc.property(fc.uuid(), (id) => {
      expect(eventIdOf(consistencyTokenOf(id))).toBe(id);
    }),
  );
});

test('property: whatever is not such a token is BAD_USER_INPUT', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json().map((json) => Buffer.from(json).toString('base64url')),
      ),
      (token) => {
        expect(() => eventIdOf(token)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }) as Error);
      },
    ),
  );
});
