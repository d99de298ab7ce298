/** What streams and queries of the read side say of conditions that nothing can meet. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { startReadSide, type ReadSide } from '../read-side.js';

let side: ReadSide;
const deviceId = 'acme-device';
beforeAll(async () => {
  side = await startReadSide();
  await side.register('acme', deviceId);
});
afterAll(() => side[Symbol.asyncDispose]());

const severities = /must be one of INFO, WARNING, CRITICAL\.$/;
const eventTypes =
  /which no domain event has; write a type of docs\/events\.md, e\.g\. "io\.fleetgraph\.device\.registered\.v1"\.$/;
const emptyList = /is an empty list\. Name at least one, or leave it out\.$/;
const characters = /must be 1 to 128 characters\.$/;

test.each([
  ['alerts(filter: { severity: ["BAD"] })', 'filter.severity[0]', severities],
  ['alerts(filter: { severity: ["INFO", "critical"] })', 'filter.severity[1]', severities],
  ['alerts(filter: { severity: [] })', 'filter.severity', emptyList],
  ['alerts(filter: { deviceId: "" })', 'filter.deviceId', characters],
  ['alerts(filter: { ruleId: "" })', 'filter.ruleId', characters],
  ['events(types: ["nope"])', 'types[0]', eventTypes],
  ['events(types: ["io.fleetgraph.device.registered.v1", ""])', 'types[1]', eventTypes],
  ['events(types: ["io.fleetgraph.telemetry.received.v1"])', 'types[0]', eventTypes],
  ['events(types: [])', 'types', emptyList],
  ['events(subject: "")', 'subject', characters],
  ['deviceStates(filter: { deviceIds: [] })', 'filter.deviceIds', emptyList],
  ['deviceStates(filter: { deviceIds: ["a", ""] })', 'filter.deviceIds[1]', characters],
  ['deviceStates(filter: { labels: [] })', 'filter.labels', emptyList],
  ['deviceStates(filter: { typeId: "" })', 'filter.typeId', characters],
  ['deviceStates(filter: { selector: { ids: [] } })', 'filter.selector.ids', emptyList],
  [`telemetry(deviceId: "${deviceId}", metrics: [])`, 'metrics', emptyList],
  [`telemetry(deviceId: "${deviceId}", metrics: ["a", ""])`, 'metrics[1]', characters],
])('subscription { %s } ends with BAD_USER_INPUT at %s', async (field, place, message) => {
  const subscriber = await side.subscribe('acme', `subscription { ${field} { cursor } }`);
  await eventually(() => expect(subscriber.ended()).toBe(true));
  expect(subscriber.errors).toMatchObject([
    {
      message: expect.stringMatching(message) as string,
      extensions: { code: 'BAD_USER_INPUT', field: place },
    },
  ]);
  expect(subscriber.received).toEqual([]);
});

test.each([
  ['types: ["nope"]', 'filter.types[0]', eventTypes],
  ['types: []', 'filter.types', emptyList],
  ['subject: ""', 'filter.subject', characters],
])('{ events(filter: { %s }) } is BAD_USER_INPUT at %s', async (filter, place, message) => {
  const { errors } = await side.ask('acme', `{ events(filter: { ${filter} }) { edges { cursor } } }`);
  expect(errors).toMatchObject([
    { message: expect.stringMatching(message) as string, extensions: { code: 'BAD_USER_INPUT', field: place } },
  ]);
});

test.each([
  ['state { metrics(names: []) { name } }', 'names', emptyList],
  ['state { metrics(names: [""]) { name } }', 'names[0]', characters],
  ['telemetry(metric: "", from: "2026-01-01T00:00:00Z") { metric }', 'metric', characters],
])('Device { %s } is BAD_USER_INPUT at %s', async (selection, place, message) => {
  await side.telemetry('acme', deviceId, { n: 1 });
  const query = `{ _entities(representations: [{ __typename: "Device", id: "${deviceId}" }]) { ... on Device { ${selection} } } }`;
  // Until there is a state, nobody asks for its metrics.
  await eventually(async () => {
    const { errors } = await side.ask('acme', query);
    expect(errors).toMatchObject([
      { message: expect.stringMatching(message) as string, extensions: { code: 'BAD_USER_INPUT', field: place } },
    ]);
  });
});

test('a metric that the device has never sent is followed: it may come', async () => {
  const subscriber = await side.subscribe<{ telemetry: { readings: readonly { value: unknown }[] } }>(
    'acme',
    `subscription { telemetry(deviceId: "${deviceId}", metrics: ["new one"]) { readings { value } } }`,
  );
  await eventually(() => expect(subscriber.received).toEqual([{ telemetry: { readings: [] } }]));
  await side.telemetry('acme', deviceId, { 'new one': 7 });
  await eventually(() => expect(subscriber.received.at(-1)).toEqual({ telemetry: { readings: [{ value: 7 }] } }));
});
