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
const deadLetters = fc.record({
  requestId: id,
  count: fc.nat(),
  deadLetterIds: fc.array(text),
  filter: object,
});
const webhook = fc.record(
  {
    webhookId: id,
    origin: text,
    description: text,
    eventTypes: fc.array(text),
    ruleIds: fc.array(text),
    severities: fc.array(text),
  },
  { requiredKeys: ['webhookId', 'origin', 'eventTypes', 'ruleIds', 'severities'] },
);
const version = fc.maxSafeInteger();
/** Inside of rules, which are large: graphemes everywhere would take seconds. */
const word = fc.string({ maxLength: 8 });
const word1 = fc.string({ minLength: 1, maxLength: 8 });
const small = fc.oneof(fc.constant(null), fc.integer(), word, fc.array(word, { maxLength: 2 }));
const count = fc.integer({ min: 1, max: 1_000 });
const readings = fc.array(fc.record({ metric: word1, at: epochMs, value: fc.oneof(number, fc.boolean(), word) }), {
  maxLength: 3,
});
const severity = fc.constantFrom('INFO', 'WARNING', 'CRITICAL');
const on = fc.array(fc.constantFrom('RAISED', 'CLEARED', 'ACKNOWLEDGED'), { minLength: 1, maxLength: 3 });
const actions = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('webhook'), on, webhookId: word1 }),
    fc.record(
      {
        kind: fc.constant('command'),
        on,
        deviceId: word1,
        name: word,
        parameters: small,
        timeToLiveMs: count,
      },
      { requiredKeys: ['kind', 'on', 'name', 'parameters', 'timeToLiveMs'] },
    ),
    fc.record({ kind: fc.constant('publish'), on, topic: word, payload: small }),
    fc.record({ kind: fc.constant('event'), on, name: word, data: small }),
  ),
  { maxLength: 3 },
);
const term = fc.constantFrom('a', 'b_1', 'Hot');
const metric = word1;
const conditionTerm = fc.oneof(
  fc.record({
    kind: fc.constant('THRESHOLD'),
    name: term,
    metric,
    direction: fc.constantFrom('ABOVE', 'BELOW'),
    raise: number,
    clear: number,
  }),
  fc.record({ kind: fc.constant('HELD'), name: term, expression: word1, forMs: count }),
  fc.record({ kind: fc.constant('TIMES'), name: term, expression: word1, times: count, withinMs: count }),
  fc.record(
    { kind: fc.constant('STALE'), name: term, metric, afterMs: count },
    { requiredKeys: ['kind', 'name', 'afterMs'] },
  ),
  fc.record({ kind: fc.constant('OFFLINE'), name: term, afterMs: count }),
  fc.record({ kind: fc.constant('RATE'), name: term, metric, overMs: count }),
  fc.record({ kind: fc.constant('ANOMALY'), name: term, metric, halfLife: count, warmUp: count }),
);
const labelCondition = fc.oneof(
  fc.record({ key: word, equals: word }),
  fc.record({ key: word, in: fc.array(word, { maxLength: 3 }) }),
  fc.record({ key: word, notIn: fc.array(word, { maxLength: 3 }) }),
  fc.record({ key: word, exists: fc.boolean() }),
);
const rule = fc.record(
  {
    ruleId: word1,
    version: count,
    name: word,
    description: word,
    enabled: fc.boolean(),
    severity,
    actions,
    selector: fc.record(
      {
        typeIds: fc.array(word1, { maxLength: 3 }),
        labels: fc.array(labelCondition, { maxLength: 3 }),
        ids: fc.array(word1, { maxLength: 3 }),
      },
      { requiredKeys: [] },
    ),
    condition: fc.record(
      { when: word1, clearWhen: word1, forMs: count, terms: fc.array(conditionTerm, { maxLength: 3 }) },
      { requiredKeys: ['when', 'terms'] },
    ),
  },
  { requiredKeys: ['ruleId', 'version', 'name', 'enabled', 'severity', 'selector', 'condition', 'actions'] },
) as Arbitrary<EventData<'io.fleetgraph.rule.created.v1'>>;
const alert = { alertId: id, ruleId: id, deviceId: id, at: dateTime };
const alertRule = { ruleName: word, severity, actions } as {
  ruleName: typeof word;
  severity: typeof severity;
  actions: Arbitrary<EventData<'io.fleetgraph.alert.raised.v1'>['actions']>;
};
const digits = fc.bigInt({ min: 0n, max: 10n ** 25n }).map(String);

const attempt = fc.integer({ min: 1, max: 10 });
const progress = fc.double({ min: 0, max: 100, noNaN: true });

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
    commandId: id,
    deviceId: id,
    name: text,
    parameters: json,
    expiresAt: dateTime,
  }),
  'io.fleetgraph.command-job.requested.v1': fc.record(
    {
      jobId: id,
      name: text,
      parameters: json,
      selector: object,
      timeToLiveMs: count,
      devices: count,
      retry: fc.record({ maxAttempts: fc.integer({ min: 2, max: 10 }), answerTimeoutMs: count, backoffMs: count }),
      maxOpen: count,
      perSecond: count,
    },
    { requiredKeys: ['jobId', 'name', 'parameters', 'selector', 'timeToLiveMs', 'devices'] },
  ),
  'io.fleetgraph.command-job.completed.v1': fc.record({
    jobId: id,
    refused: count,
    commands: fc.dictionary(fc.constantFrom('FAILED', 'SUCCEEDED'), count),
  }),
  'io.fleetgraph.command-job.canceled.v1': fc.record({ jobId: id }),
  'io.fleetgraph.command.progressed.v1': fc.record(
    { commandId: id, deviceId: id, progress, message: text },
    { requiredKeys: ['commandId', 'deviceId'] },
  ),
  'io.fleetgraph.command.attempt-failed.v1': fc.record({
    commandId: id,
    deviceId: id,
    attempt,
    error: text,
    retryAt: dateTime,
  }),
  'io.fleetgraph.command.retried.v1': fc.record({
    commandId: id,
    deviceId: id,
    name: text,
    parameters: json,
    expiresAt: dateTime,
    attempt,
  }),
  'io.fleetgraph.command.progress-reported.v1': fc.record(
    { commandId: id, deviceId: id, progress, message: text, at: epochMs },
    { requiredKeys: ['commandId', 'deviceId', 'at'] },
  ),
  'io.fleetgraph.command.sent.v1': command,
  'io.fleetgraph.command.delivered.v1': command,
  'io.fleetgraph.command.succeeded.v1': fc.record({ commandId: id, deviceId: id, result: json }),
  'io.fleetgraph.command.failed.v1': failed,
  'io.fleetgraph.command.rejected.v1': failed,
  'io.fleetgraph.command.expired.v1': command,
  'io.fleetgraph.command.canceled.v1': command,
  'io.fleetgraph.rule.created.v1': rule,
  'io.fleetgraph.rule.updated.v1': rule,
  'io.fleetgraph.rule.deleted.v1': fc.record({ ruleId: id, version: count }),
  'io.fleetgraph.rule.fired.v1': fc.record({
    ruleId: id,
    version: count,
    deviceId: id,
    at: dateTime,
    readings,
    sequence: count,
    ...alertRule,
  }),
  'io.fleetgraph.rule.recovered.v1': fc.record({
    ruleId: id,
    deviceId: id,
    at: dateTime,
    readings,
    sequence: count,
    cause: fc.constantFrom('CONDITION', 'RULE_CHANGED', 'RULE_DELETED', 'DEVICE_GONE'),
  }),
  'io.fleetgraph.alert.raised.v1': fc.record({ ...alert, ...alertRule, readings, count }),
  'io.fleetgraph.alert.repeated.v1': fc.record({ ...alert, severity, readings, count }),
  'io.fleetgraph.alert.held.v1': fc.record({ ...alert, severity, until: dateTime }),
  'io.fleetgraph.alert.cleared.v1': fc.record(
    {
      ...alert,
      ...alertRule,
      readings,
      count,
      comment: text,
      cause: fc.constantFrom('CONDITION', 'RULE_CHANGED', 'RULE_DELETED', 'DEVICE_GONE', 'BY_HAND'),
    },
    { noNullPrototype: true },
  ),
  'io.fleetgraph.alert.acknowledged.v1': fc.record({ ...alert, ...alertRule, comment: text }),
  'io.fleetgraph.alert.commented.v1': fc.record({ ...alert, severity, text }),
  'io.fleetgraph.alert.action-failed.v1': fc.record({
    alertId: id,
    ruleId: id,
    deviceId: id,
    actionIndex: fc.nat(),
    kind: text,
    error: text,
  }),
  'io.fleetgraph.message.requested.v1': fc.record({ messageId: id, deviceId: id, topic: text, payload: json }),
  'io.fleetgraph.custom.raised.v1': fc.record({ name: text, data: json, alertId: id, ruleId: id, deviceId: id }),
  'io.fleetgraph.webhook.created.v1': webhook,
  'io.fleetgraph.webhook.updated.v1': webhook,
  'io.fleetgraph.webhook.deleted.v1': fc.record({ webhookId: id }),
  'io.fleetgraph.webhook.paused.v1': fc.record({ webhookId: id }),
  'io.fleetgraph.webhook.resumed.v1': fc.record({ webhookId: id }),
  'io.fleetgraph.webhook.secret-rotated.v1': fc.record({ webhookId: id, previousValidUntil: dateTime }),
  'io.fleetgraph.webhook.tested.v1': fc.record({ webhookId: id }),
  'io.fleetgraph.dead-letters.replay-requested.v1': deadLetters,
  'io.fleetgraph.dead-letters.discarded.v1': deadLetters,
  'io.fleetgraph.webhook.redelivery-requested.v1': fc.record({ webhookId: id, deliveryId: text }),
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
      commandId: id,
      deviceId: id,
      at: epochMs,
      result: json,
      error: text,
      status: fc.constantFrom('SUCCEEDED', 'FAILED', 'REJECTED'),
    },
    { requiredKeys: ['commandId', 'deviceId', 'at', 'status'] },
  ),
  'io.fleetgraph.device.state-reported.v1': fc.record({ deviceId: id, reported: object, at: epochMs }),
  'io.fleetgraph.device.event-raised.v1': fc.record({ deviceId: id, name: id, data: json, at: epochMs }),
  'io.fleetgraph.projection.changed.v1': fc.record({
    seq: digits,
    entity: fc.constantFrom('device', 'command', 'alert', 'event', 'twin'),
    id,
    version: digits,
    at: dateTime,
    payload: json,
  }),
};
