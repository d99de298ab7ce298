/**
 * Every type of event that fleetgraph knows, with the schema of its data. What is not in here can't be appended,
 * published or decoded. A type carries its version; a change that readers of the old one can't read is a new type.
 * Names follow CloudEvents: reverse-DNS prefix, past tense, version.
 */
import { z } from 'zod';
import { ruleActions, ruleDefinition, ruleSeverity } from '../rules/definition.js';

const id = z.string().min(1).max(128);
/** Epoch milliseconds; the fraction, if any, holds microseconds. */
const epochMs = z.number().nonnegative();
const metricName = z.string().min(1).max(128);
const metricValue = z.union([z.number(), z.boolean(), z.string().max(1_024)]);
const json = z.json();
const labels = z.record(z.string(), z.string());
const dateTime = z.iso.datetime({ offset: true });
/** Number of the attempt to have a device do a command, from 1. */
const attempt = z.int().min(1);
/** How much of a command is done, in percent. */
const progress = z.number().min(0).max(100);

/** How often a command is tried, and when again. */
const retryPolicy = z.object({
  maxAttempts: z.int().min(2),
  /** How long an attempt waits for a word of the device after it was sent. */
  answerTimeoutMs: z.int().positive(),
  /** From the failure of the first attempt to the second; doubled each time. */
  backoffMs: z.int().positive(),
});

const metricDefinition = z.object({
  name: metricName,
  kind: z.enum(['NUMBER', 'BOOLEAN', 'STRING']),
  unit: z.string().optional(),
  description: z.string().optional(),
});

/** A command that the devices of a type take: see backbone/devices/command-schema.ts. */
const commandDefinition = z.object({
  name: z.string().min(1).max(64),
  description: z.string().optional(),
  parametersSchema: z.union([z.boolean(), z.record(z.string(), json)]).optional(),
});

const deadLetters = z.object({
  requestId: id,
  count: z.int().nonnegative(),
  deadLetterIds: z.array(z.string()),
  filter: z.record(z.string(), json),
});

const webhook = z.object({
  webhookId: id,
  origin: z.string(),
  description: z.string().optional(),
  eventTypes: z.array(z.string()),
  ruleIds: z.array(z.string()),
  severities: z.array(z.string()),
});

export const reading = z.object({ metric: metricName, at: epochMs, value: metricValue });

/** What every event of an alert says. `by` is the envelope's actor. */
const alert = { alertId: id, ruleId: id, deviceId: id, at: dateTime };
/** That of the alert, by which webhooks select. Not in events from before they all said it. */
const severity = ruleSeverity.optional();
/** What the effects of an alert need: the rule as it was when the alert was raised. */
const alertRule = { ruleName: z.string(), severity: ruleSeverity, actions: ruleActions };

/** Domain events: appended to the event store, published by the relay on `fleetgraph.events`. */
const domainEvents = {
  'io.fleetgraph.device-type.defined.v1': z.object({
    typeId: id,
    name: z.string(),
    description: z.string().optional(),
    metrics: z.array(metricDefinition),
    decoder: z.string(),
    /** Not in events from before types said which commands their devices take. */
    commands: z.array(commandDefinition).optional(),
  }),
  'io.fleetgraph.device.registered.v1': z.object({ deviceId: id, name: z.string(), typeId: id, labels }),
  /** Carries the whole new state, not the difference. */
  'io.fleetgraph.device.updated.v1': z.object({ deviceId: id, name: z.string(), typeId: id, labels }),
  'io.fleetgraph.device.decommissioned.v1': z.object({ deviceId: id }),
  'io.fleetgraph.device.credentials-rotated.v1': z.object({ deviceId: id, clientId: id }),
  'io.fleetgraph.device.desired-state-set.v1': z.object({
    deviceId: id,
    desired: z.record(z.string(), json),
    version: z.int(),
  }),
  'io.fleetgraph.device.reported-state-changed.v1': z.object({
    deviceId: id,
    reported: z.record(z.string(), json),
    version: z.int(),
  }),
  'io.fleetgraph.command.requested.v1': z.object({
    commandId: id,
    deviceId: id,
    name: z.string(),
    parameters: json,
    expiresAt: dateTime,
    /** Not tried again if it is left out. */
    retry: retryPolicy.optional(),
    /** The job that it is part of. */
    jobId: id.optional(),
  }),
  /** Once for each attempt; the first if it does not say which. */
  'io.fleetgraph.command.sent.v1': z.object({ commandId: id, deviceId: id, attempt: attempt.optional() }),
  'io.fleetgraph.command.delivered.v1': z.object({ commandId: id, deviceId: id }),
  'io.fleetgraph.command.progressed.v1': z.object({
    commandId: id,
    deviceId: id,
    progress: progress.optional(),
    message: z.string().optional(),
  }),
  /** The attempt came to nothing, and there will be another at `retryAt`. */
  'io.fleetgraph.command.attempt-failed.v1': z.object({
    commandId: id,
    deviceId: id,
    attempt,
    error: z.string(),
    retryAt: dateTime,
  }),
  /** Asks for it again, under the same id: with all that is needed to send it. */
  'io.fleetgraph.command.retried.v1': z.object({
    commandId: id,
    deviceId: id,
    name: z.string(),
    parameters: json,
    expiresAt: dateTime,
    attempt,
  }),
  'io.fleetgraph.command.succeeded.v1': z.object({ commandId: id, deviceId: id, result: json }),
  'io.fleetgraph.command.failed.v1': z.object({ commandId: id, deviceId: id, error: z.string() }),
  'io.fleetgraph.command.rejected.v1': z.object({ commandId: id, deviceId: id, error: z.string() }),
  'io.fleetgraph.command.expired.v1': z.object({ commandId: id, deviceId: id }),
  'io.fleetgraph.command.canceled.v1': z.object({ commandId: id, deviceId: id }),
  'io.fleetgraph.rule.created.v1': ruleDefinition,
  /** Carries the whole rule as it is now. */
  'io.fleetgraph.rule.updated.v1': ruleDefinition,
  'io.fleetgraph.rule.deleted.v1': z.object({ ruleId: id, version: z.int().positive() }),
  /**
   * The condition has come true for the device. `readings`: the last value of each metric that the condition looks at;
   * `sequence` grows along the device.
   */
  'io.fleetgraph.rule.fired.v1': z.object({
    ruleId: id,
    version: z.int().positive(),
    deviceId: id,
    at: dateTime,
    readings: z.array(reading),
    sequence: z.int().positive(),
    ...alertRule,
  }),
  /** The condition no longer holds for the device, or is no longer asked. */
  'io.fleetgraph.rule.recovered.v1': z.object({
    ruleId: id,
    deviceId: id,
    at: dateTime,
    readings: z.array(reading),
    sequence: z.int().positive(),
    cause: z.enum(['CONDITION', 'RULE_CHANGED', 'RULE_DELETED', 'DEVICE_GONE']),
  }),
  'io.fleetgraph.alert.raised.v1': z.object({
    ...alert,
    ...alertRule,
    readings: z.array(reading),
    count: z.int().positive(),
  }),
  /** The rule fired again while its alert was open. */
  'io.fleetgraph.alert.repeated.v1': z.object({
    ...alert,
    severity,
    readings: z.array(reading),
    count: z.int().positive(),
  }),
  /** The rule has recovered, too often of late: the alert stays open until it has been calm until then. */
  'io.fleetgraph.alert.held.v1': z.object({ ...alert, severity, until: dateTime }),
  'io.fleetgraph.alert.cleared.v1': z.object({
    ...alert,
    ...alertRule,
    readings: z.array(reading),
    count: z.int().positive(),
    cause: z.enum(['CONDITION', 'RULE_CHANGED', 'RULE_DELETED', 'DEVICE_GONE', 'BY_HAND']),
    comment: z.string().optional(),
  }),
  'io.fleetgraph.alert.acknowledged.v1': z.object({ ...alert, ...alertRule, comment: z.string().optional() }),
  'io.fleetgraph.alert.commented.v1': z.object({ ...alert, severity, text: z.string() }),
  /** An action of the rule could not be done, and never can. `actionIndex`: its place among the actions, from 0. */
  'io.fleetgraph.alert.action-failed.v1': z.object({
    alertId: id,
    ruleId: id,
    deviceId: id,
    severity,
    actionIndex: z.int().nonnegative(),
    kind: z.string(),
    error: z.string(),
  }),
  /** A message for the device, on its topic `message`. */
  'io.fleetgraph.message.requested.v1': z.object({ messageId: id, deviceId: id, topic: z.string(), payload: json }),
  /** An event that a rule names. */
  'io.fleetgraph.custom.raised.v1': z.object({
    name: z.string(),
    data: json,
    alertId: id,
    ruleId: id,
    deviceId: id,
  }),
  /** `origin` only: the path of an endpoint's URL may be a secret. */
  'io.fleetgraph.webhook.created.v1': webhook,
  /** Carries the whole new state, not the difference. */
  'io.fleetgraph.webhook.updated.v1': webhook,
  'io.fleetgraph.webhook.deleted.v1': z.object({ webhookId: id }),
  'io.fleetgraph.webhook.paused.v1': z.object({ webhookId: id }),
  'io.fleetgraph.webhook.resumed.v1': z.object({ webhookId: id }),
  'io.fleetgraph.webhook.secret-rotated.v1': z.object({ webhookId: id, previousValidUntil: dateTime }),
  'io.fleetgraph.webhook.tested.v1': z.object({ webhookId: id }),
  /** Letters that were moved, at most 100 of them by name. */
  'io.fleetgraph.dead-letters.replay-requested.v1': deadLetters,
  'io.fleetgraph.dead-letters.discarded.v1': deadLetters,
  'io.fleetgraph.webhook.redelivery-requested.v1': z.object({ webhookId: id, deliveryId: z.string() }),
  'io.fleetgraph.command-job.requested.v1': z.object({
    jobId: id,
    name: z.string(),
    parameters: json,
    /** As backbone/devices/label-selector.ts reads it. */
    selector: z.record(z.string(), json),
    timeToLiveMs: z.int().positive(),
    retry: retryPolicy.optional(),
    maxOpen: z.int().positive().optional(),
    perSecond: z.int().positive().optional(),
    /** How many were selected. */
    devices: z.int(),
  }),
  /** Each of its commands has ended. `commands` counts them by status. */
  'io.fleetgraph.command-job.completed.v1': z.object({
    jobId: id,
    refused: z.int(),
    commands: z.record(z.string(), z.int()),
  }),
  'io.fleetgraph.command-job.canceled.v1': z.object({ jobId: id }),
} as const;

/** What devices send, as the bridge publishes it. Telemetry goes to `fleetgraph.telemetry`, the rest to `fleetgraph.signals`. */
const deviceMessages = {
  'io.fleetgraph.telemetry.received.v1': z.object({ deviceId: id, readings: z.array(reading).min(1) }),
  /** `session` grows with each connection of the device (epoch ms of the connect): a message of an older session is late. */
  'io.fleetgraph.presence.changed.v1': z.object({
    deviceId: id,
    online: z.boolean(),
    session: z.number().nonnegative(),
    at: epochMs,
    reason: z.enum(['connected', 'disconnected', 'will', 'timeout', 'kicked']),
  }),
  /** The broker (re)started: whoever was online in a session before this one is offline. One record a partition. */
  'io.fleetgraph.presence.reset.v1': z.object({ session: z.number().nonnegative(), at: epochMs }),
  /** The first attempt if it does not say which. */
  'io.fleetgraph.command.dispatched.v1': z.object({
    commandId: id,
    deviceId: id,
    attempt: attempt.optional(),
    at: epochMs,
  }),
  'io.fleetgraph.command.received.v1': z.object({ commandId: id, deviceId: id, at: epochMs }),
  'io.fleetgraph.command.acknowledged.v1': z.object({
    commandId: id,
    deviceId: id,
    status: z.enum(['SUCCEEDED', 'FAILED', 'REJECTED']),
    result: json.optional(),
    error: z.string().optional(),
    /** Of a failure: whether to try again makes sense. */
    retryable: z.boolean().optional(),
    /** The attempt that it answers, if the device says so. */
    attempt: attempt.optional(),
    at: epochMs,
  }),
  'io.fleetgraph.command.progress-reported.v1': z.object({
    commandId: id,
    deviceId: id,
    progress: progress.optional(),
    message: z.string().optional(),
    at: epochMs,
  }),
  'io.fleetgraph.device.state-reported.v1': z.object({
    deviceId: id,
    reported: z.record(z.string(), json),
    at: epochMs,
  }),
  'io.fleetgraph.device.event-raised.v1': z.object({
    deviceId: id,
    name: z.string().min(1).max(128),
    data: json,
    at: epochMs,
  }),
} as const;

/** What the projector changed, on `fleetgraph.changes`. `payload` has what a subscriber's first fetch needs; see docs/subscriptions.md. */
const projectionChanges = {
  'io.fleetgraph.projection.changed.v1': z.object({
    /** Gap-free number of the change within its tenant; the cursor of subscriptions. A decimal string: it may pass 2^53. */
    seq: z.string().regex(/^\d+$/),
    entity: z.enum(['device', 'command', 'alert', 'event', 'twin']),
    id,
    version: z.string().regex(/^\d+$/),
    at: dateTime,
    payload: json,
  }),
} as const;

export const catalogue = { ...domainEvents, ...deviceMessages, ...projectionChanges } as const;

export type EventType = keyof typeof catalogue;
export type DomainEventType = keyof typeof domainEvents;
export type EventData<T extends EventType> = z.infer<(typeof catalogue)[T]>;
export type Reading = z.infer<typeof reading>;
export type RetryPolicy = z.infer<typeof retryPolicy>;
export type MetricDefinition = z.infer<typeof metricDefinition>;

export const domainEventTypes = Object.keys(domainEvents) as readonly DomainEventType[];

export function isEventType(type: string): type is EventType {
  return Object.hasOwn(catalogue, type);
}

/** Where the schema of a type is documented: the CloudEvents attribute `dataschema`. */
export function dataschemaOf(type: EventType): string {
  return `https://fleetgraph.io/schemas/${type}.json`;
}
