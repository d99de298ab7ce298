/**
 * A projection change: what the projector adds to the change log and what subscriptions are made of.
 * Invariant: within a tenant `seq` is gap-free and in commit order, so that "everything behind seq n" is well defined.
 * The log (projections.changes) is the truth; the same change on the topic `fleetgraph.changes` only makes it fast.
 */
import { z } from 'zod';
import type { BusRecord, OutgoingRecord } from '../bus/event-bus.js';
import { reading } from '../events/catalogue.js';
import { decode, encode, EventDecodingError, makeEvent } from '../events/envelope.js';

/** Latest value of each metric by name. `at` is epoch milliseconds; its fraction holds microseconds. */
const latestMetrics = z.record(z.string(), z.object({ value: reading.shape.value, at: reading.shape.at }));

/** What filters look at of a device; null while the registry has not told the read side of it. */
const selectable = z.object({ typeId: z.string(), labels: z.record(z.string(), z.string()) }).nullable();

const deviceChange = z.object({
  /** What caused it. */
  kind: z.enum(['telemetry', 'presence']),
  device: selectable,
  /** The whole state after the change. */
  state: z.object({
    version: z.string(),
    updatedAt: z.string(),
    metrics: latestMetrics,
    online: z.boolean(),
    lastSeen: z.string().nullable(),
  }),
  /** Readings that were not stored before; empty for a change of presence. */
  readings: z.array(reading),
});

const commandChange = z.object({
  id: z.string(),
  deviceId: z.string(),
  name: z.string(),
  parameters: z.unknown(),
  status: z.enum(['QUEUED', 'SENT', 'DELIVERED', 'SUCCEEDED', 'FAILED', 'REJECTED', 'EXPIRED', 'CANCELED']),
  createdAt: z.string(),
  updatedAt: z.string(),
  expiresAt: z.string(),
  result: z.unknown(),
  error: z.string().nullable(),
  // Not in changes from before there were attempts and progress.
  attempt: z.int().default(1),
  progress: z.number().nullable().default(null),
  progressMessage: z.string().nullable().default(null),
});

const alertDocument = z.object({
  id: z.string(),
  deviceId: z.string(),
  ruleId: z.string(),
  ruleName: z.string(),
  severity: z.enum(['INFO', 'WARNING', 'CRITICAL']),
  status: z.enum(['ACTIVE', 'CLEARED']),
  acknowledged: z.boolean(),
  count: z.int(),
  firstAt: z.string(),
  lastAt: z.string(),
  clearedAt: z.string().nullable(),
});

/** An alert after a change, with its device as it was then. Not in changes from before alerts could be selected by it. */
const alertChange = alertDocument.extend({ device: selectable.default(null) });

const eventChange = z.object({
  id: z.string(),
  type: z.string(),
  source: z.string(),
  subject: z.string(),
  time: z.string(),
  data: z.unknown(),
  actor: z.string().nullable(),
  /** Not in changes that were written before it was known. */
  clientAddress: z.string().nullable().default(null),
  correlationId: z.string().nullable(),
  causationId: z.string().nullable(),
});

/** Both halves of a device's twin after a change. Times are RFC 3339. */
const twinChange = z.object({
  desired: z.record(z.string(), z.unknown()),
  desiredVersion: z.int(),
  desiredAt: z.string().nullable(),
  reported: z.record(z.string(), z.unknown()),
  reportedVersion: z.int(),
  reportedAt: z.string().nullable(),
});

const payloads = {
  device: deviceChange,
  command: commandChange,
  alert: alertChange,
  event: eventChange,
  twin: twinChange,
} as const;

export type Entity = keyof typeof payloads;
/** State of a device after a change, with the readings that were new. */
export type DeviceChange = z.infer<typeof deviceChange>;
export type LatestMetrics = z.infer<typeof latestMetrics>;
/** A command as the graph shows it. */
export type CommandDocument = z.infer<typeof commandChange>;
export type CommandStatus = CommandDocument['status'];
/** An alert as filters and subscriptions look at it. */
export type AlertDocument = z.infer<typeof alertDocument>;
export type AlertChange = z.infer<typeof alertChange>;
export type TwinChange = z.infer<typeof twinChange>;
/** An entry of the event log. */
export type LoggedEvent = z.infer<typeof eventChange>;

interface ChangeOf<E extends Entity> {
  readonly tenant: string;
  readonly seq: bigint;
  readonly entity: E;
  /** Id of the device, command, alert or event. */
  readonly id: string;
  readonly version: bigint;
  /** When it was committed, RFC 3339. */
  readonly at: string;
  readonly payload: z.infer<(typeof payloads)[E]>;
}

/** A change; narrow it by `entity`. */
export type Change<E extends Entity = Entity> = { [K in E]: ChangeOf<K> }[E];

/** Statuses that a command never leaves. */
const finalStatuses: ReadonlySet<CommandStatus> = new Set(['SUCCEEDED', 'FAILED', 'REJECTED', 'EXPIRED', 'CANCELED']);

export function isFinal(status: CommandStatus): boolean {
  return finalStatuses.has(status);
}

/** The change as a record for `fleetgraph.changes`, keyed by the entity. */
export function encodeChange(change: Change, traceparent?: string): OutgoingRecord {
  return encode(
    makeEvent({
      id: `${change.tenant}/${change.seq.toString()}`,
      source: '/projector',
      type: 'io.fleetgraph.projection.changed.v1',
      subject: change.id,
      tenant: change.tenant,
      time: change.at,
      traceparent,
      data: {
        seq: change.seq.toString(),
        entity: change.entity,
        id: change.id,
        version: change.version.toString(),
        at: change.at,
        payload: change.payload as z.infer<ReturnType<typeof z.json>>,
      },
    }),
  );
}

/** The change in a record of `fleetgraph.changes`. @throws EventDecodingError when it isn't one. */
export function decodeChange(record: Pick<BusRecord, 'headers' | 'value'>): Change {
  const event = decode(record);
  if (event.type !== 'io.fleetgraph.projection.changed.v1')
    throw new EventDecodingError(`${event.type} is not a projection change.`);
  const { seq, version, ...rest } = event.data;
  return changeFrom({ ...rest, tenant: event.tenant, seq: BigInt(seq), version: BigInt(version) });
}

/** A change from parts that are not trusted yet: a row of the log, a record. @throws EventDecodingError on a payload that doesn't fit the entity. */
export function changeFrom(parts: {
  readonly tenant: string;
  readonly seq: bigint;
  readonly entity: string;
  readonly id: string;
  readonly version: bigint;
  readonly at: string;
  readonly payload: unknown;
}): Change {
  if (!isEntity(parts.entity)) throw new EventDecodingError(`"${parts.entity}" is not an entity of the change log.`);
  const payload = payloads[parts.entity].safeParse(parts.payload);
  if (!payload.success)
    throw new EventDecodingError(
      `Change ${parts.seq.toString()} of ${parts.tenant} has a payload that is not one of a ${parts.entity}: ${payload.error.message}`,
      { cause: payload.error },
    );
  // The parse above is what ties the payload to the entity; TypeScript can't follow the correlation.
  return { ...parts, payload: payload.data } as Change;
}

function isEntity(value: string): value is Entity {
  return Object.hasOwn(payloads, value);
}
