/**
 * Commands and desired states (what is left of those: twin-deltas.ts) on their way down. A command goes out when its device
 * is connected and listens, in the order of the requests, and stays ours until the device has confirmed it (PUBACK) or it
 * has ended: a device that comes back is sent again what it did not confirm, and so is one whose bridge was killed in
 * between. Delivery is at-least-once; the id of a command tells a repetition.
 */
import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { topics } from '../../backbone/bus/topics.js';
import { createConsumer, type DeliveredEvent } from '../../backbone/consumer/consumer.js';
import type { DeviceDirectory } from '../../backbone/devices/device-directory.js';
import type { DeviceAddress, DownChannel } from '../../backbone/devices/device-topics.js';
import type { EventType } from '../../backbone/events/catalogue.js';
import { encode, makeEvent, type Event } from '../../backbone/events/envelope.js';
import { standForLead, type LeaderLock } from '../../platform/database/leader-lock.js';
import type { Role } from '../../platform/lifecycle/role.js';
import { pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';
import type { BridgeMetrics } from '../bridge-metrics.js';
import type { DurablePublisher } from '../intake/durable-publisher.js';
import type { DeviceBroker } from '../mqtt/device-broker.js';
import { createTwinDeltas } from './twin-deltas.js';
import { createConfirmations } from './confirmations.js';
import { attemptOf, createUndeliveredCommands, type RequestedCommand } from './undelivered-commands.js';

export interface CommandSender {
  /** Takes up what a bridge before this one left undelivered, and begins to consume; stops and writes what was confirmed. */
  readonly role: Role;
  /** Sends what waits for a device, now that it listens in this session. */
  readonly deviceListens: (device: DeviceAddress, channel: DownChannel, session: number) => void;
  /** Whether it is this bridge that sends to devices, for all bridges. */
  readonly isSender: () => boolean;
  /** A device has confirmed what it was sent. */
  readonly deviceConfirmed: (device: DeviceAddress, channel: DownChannel, payload: string) => void;
}

interface Undelivered {
  command: RequestedCommand;
  /** Session that it was last sent in; undefined while it waits. */
  sentIn: number | 'sending' | undefined;
  /** The device came to listen while it was being sent. */
  again: boolean;
}

const maxPerDevice = 100;
const maxDevices = 100_000;
/** How often those that nobody listened to are tried again, and how many devices at once. */
const retryMs = 2_000;
const maxDevicesAtOnce = 500;

const endings = [
  'io.fleetgraph.command.canceled.v1',
  'io.fleetgraph.command.expired.v1',
  'io.fleetgraph.command.succeeded.v1',
  'io.fleetgraph.command.failed.v1',
  'io.fleetgraph.command.rejected.v1',
] as const;
/** What changes a half of a twin. */
const twinEvents: ReadonlyMap<EventType, 'desired' | 'reported'> = new Map([
  ['io.fleetgraph.device.desired-state-set.v1', 'desired'],
  ['io.fleetgraph.device.reported-state-changed.v1', 'reported'],
]);
type Ending = Event<(typeof endings)[number]>;

export function createCommandSender(options: {
  broker: () => DeviceBroker;
  /** Devices can be reached from every bridge: one of them sends, and takes over what the one before it had. */
  shared?: { databaseUrl: string };
  bus: EventBus;
  pool: pg.Pool;
  publisher: DurablePublisher;
  directory: Pick<DeviceDirectory, 'twin'>;
  log: Logger;
  metrics: Registry;
  bridgeMetrics: BridgeMetrics;
}): CommandSender {
  const { broker, publisher, log, bridgeMetrics } = options;
  const store = createUndeliveredCommands(options.pool);
  const confirmations = createConfirmations({ store, log });
  const undelivered = new Map<string, Undelivered[]>();
  const pumping = new Set<string>();
  const deltas = createTwinDeltas(options);
  let sends = false;

  const signal = (
    command: RequestedCommand,
    type: 'io.fleetgraph.command.dispatched.v1' | 'io.fleetgraph.command.received.v1',
  ): void => {
    const { commandId, deviceId } = command.data;
    const event = makeEvent({
      source: '/bridge',
      type,
      subject: deviceId,
      tenant: command.tenant,
      data: {
        ...{ commandId, deviceId, at: Date.now() },
        ...(type === 'io.fleetgraph.command.dispatched.v1' ? { attempt: attemptOf(command) } : {}),
      },
      causationid: command.id,
      correlationid: command.correlationid,
      traceparent: command.traceparent,
    });
    publisher
      .publish(topics.signals, [encode(event)])
      .catch((error: unknown) => log.warn({ commandId, err: error }, 'the way of a command was not published'));
  };

  const forget = (deviceId: string, commandId: string): void => {
    const rest = undelivered.get(deviceId)?.filter(({ command }) => command.data.commandId !== commandId);
    if (rest?.length) undelivered.set(deviceId, rest);
    else undelivered.delete(deviceId);
  };

  /** @returns whether the device listens. */
  const send = async (entry: Undelivered): Promise<boolean> => {
    const { command } = entry;
    const { commandId: id, deviceId, name, parameters, expiresAt } = command.data;
    entry.sentIn = 'sending';
    entry.again = false;
    const session = await broker().send({ tenant: command.tenant, deviceId }, 'command', {
      payload: JSON.stringify({ id, name, parameters, expiresAt, attempt: attemptOf(command) }),
      correlationId: id,
      expiresAtMs: Date.parse(expiresAt),
    });
    // Asked for again in between: it is sent again, as what it is by then.
    if (entry.command !== command) entry.sentIn = undefined;
    else entry.sentIn = session;
    if (session === undefined) return false;
    bridgeMetrics.commands.inc({ result: 'dispatched' });
    signal(command, 'io.fleetgraph.command.dispatched.v1');
    return true;
  };

  /** Sends what waits for a device, one behind the other, until nobody listens: none overtakes the one before. */
  const pump = async (deviceId: string): Promise<void> => {
    if (pumping.has(deviceId)) return;
    pumping.add(deviceId);
    try {
      for (;;) {
        const next = undelivered
          .get(deviceId)
          ?.find(({ sentIn, command }) => sentIn === undefined && !isExpired(command));
        if (next === undefined) return;
        if (!(await send(next)) && !next.again) return;
      }
    } finally {
      pumping.delete(deviceId);
    }
  };

  /** Those of the requests that are new, in time, and find room. */
  const admit = (requests: readonly RequestedCommand[]): readonly RequestedCommand[] => {
    const admitted = new Map<string, RequestedCommand>();
    const perDevice = new Map<string, number>();
    for (const command of requests) {
      const { deviceId, commandId } = command.data;
      const known = undelivered.get(deviceId) ?? [];
      const count = perDevice.get(deviceId) ?? known.length;
      const key = `${commandId}/${attemptOf(command)}`;
      const sameId = known.find((other) => idOf(other.command) === commandId);
      if (isExpired(command)) bridgeMetrics.commands.inc({ result: 'expired' });
      else if (admitted.has(key) || (sameId !== undefined && attemptOf(sameId.command) >= attemptOf(command))) continue;
      // It takes the place of the attempt before.
      else if (sameId !== undefined) admitted.set(key, command);
      else if (count < maxPerDevice && (count > 0 || undelivered.size + perDevice.size < maxDevices)) {
        admitted.set(key, command);
        perDevice.set(deviceId, count + 1);
      } else {
        bridgeMetrics.commands.inc({ result: 'overflowed' });
        log.warn(
          { tenant: command.tenant, deviceId, commandId },
          'too many commands wait for the device; this one will expire',
        );
      }
    }
    return [...admitted.values()];
  };

  const keep = (command: RequestedCommand): Undelivered => {
    const entry: Undelivered = { command, sentIn: undefined, again: false };
    const { deviceId } = command.data;
    undelivered.set(deviceId, [...(undelivered.get(deviceId) ?? []), entry]);
    return entry;
  };

  const request = (command: RequestedCommand): void => {
    const entry = keep(command);
    void pump(command.data.deviceId).then(() => {
      if (entry.sentIn === undefined) bridgeMetrics.commands.inc({ result: 'waiting' });
    });
  };

  /** Like any publish, it reaches a device that listens; whoever must be reached later is sent a command. */
  const tell = async ({ tenant, data }: Event<'io.fleetgraph.message.requested.v1'>): Promise<void> => {
    const { messageId: id, deviceId, topic, payload } = data;
    const message = { payload: JSON.stringify({ id, topic, payload }), correlationId: id };
    const session = await broker().send({ tenant, deviceId }, 'message', message);
    bridgeMetrics.told.inc({ result: session === undefined ? 'unheard' : 'sent' });
  };

  /** Sends again what is asked for again: in its place in the queue if it is still there, or behind the others. */
  const requestAgain = (command: RequestedCommand): void => {
    const known = undelivered.get(command.data.deviceId)?.find((other) => idOf(other.command) === idOf(command));
    if (known === undefined) {
      request(command);
      return;
    }
    known.command = command;
    if (known.sentIn !== 'sending') known.sentIn = undefined;
    void pump(command.data.deviceId);
  };

  const take = (event: Event, kept: ReadonlySet<Event>): void => {
    switch (event.type) {
      case 'io.fleetgraph.command.requested.v1':
        if (kept.has(event)) request(event);
        return;
      case 'io.fleetgraph.command.retried.v1':
        if (kept.has(event)) requestAgain(event);
        return;
      case 'io.fleetgraph.device.desired-state-set.v1':
        void broker().send({ tenant: event.tenant, deviceId: event.data.deviceId }, 'desired', {
          payload: JSON.stringify({ version: event.data.version, desired: event.data.desired }),
        });
        return;
      case 'io.fleetgraph.device.decommissioned.v1':
        undelivered.delete(event.data.deviceId);
        broker().kick({ tenant: event.tenant, deviceId: event.data.deviceId });
        return;
      case 'io.fleetgraph.device.credentials-rotated.v1':
        broker().kick({ tenant: event.tenant, deviceId: event.data.deviceId });
        return;
      default:
        if (isEnding(event)) forget(event.data.deviceId, event.data.commandId);
    }
  };

  const consumer = createConsumer({
    ...options,
    name: 'bridge-commands',
    topics: [topics.events],
    types: [
      'io.fleetgraph.command.requested.v1',
      'io.fleetgraph.command.retried.v1',
      ...endings,
      'io.fleetgraph.message.requested.v1',
      ...twinEvents.keys(),
      'io.fleetgraph.device.decommissioned.v1',
      'io.fleetgraph.device.credentials-rotated.v1',
    ],
    async handle(delivered: readonly DeliveredEvent[]) {
      const events = delivered.map(({ event }) => event);
      const added = admit(
        events.filter(
          (event) =>
            event.type === 'io.fleetgraph.command.requested.v1' || event.type === 'io.fleetgraph.command.retried.v1',
        ),
      );
      // Durable first: when this fails, the batch comes again and nothing has happened yet.
      await store.change({
        added,
        endedCommandIds: events.flatMap((event) => (isEnding(event) ? [event.data.commandId] : [])),
        endedDeviceIds: events.flatMap((event) =>
          event.type === 'io.fleetgraph.device.decommissioned.v1' ? [event.data.deviceId] : [],
        ),
      });
      const kept = new Set<Event>(added);
      for (const event of events) {
        if (event.type === 'io.fleetgraph.message.requested.v1') await tell(event);
        else take(event, kept);
      }
      await Promise.all(
        events.flatMap(({ tenant, type, data }) => {
          const half = twinEvents.get(type);
          return half && 'deviceId' in data ? [deltas.changed({ tenant, deviceId: data.deviceId }, half)] : [];
        }),
      );
    },
  });

  /** Tries for all that nobody listened to: who begins to listen is not always heard of from a broker elsewhere. */
  const sendWaiting = (): void => {
    let devices = 0;
    for (const [deviceId, entries] of undelivered) {
      if (entries.every(({ sentIn }) => sentIn !== undefined)) continue;
      // Those that were tried go to the end, so that a later round comes to the others.
      undelivered.delete(deviceId);
      undelivered.set(deviceId, entries);
      void pump(deviceId);
      devices += 1;
      if (devices === maxDevicesAtOnce) return;
    }
  };

  const begin = async (): Promise<void> => {
    undelivered.clear();
    for (const command of await store.load()) keep(command);
    sends = true;
    await consumer.start();
  };

  const lead = async (signal: AbortSignal): Promise<void> => {
    await begin();
    while (!signal.aborted) {
      sendWaiting();
      await pause(retryMs, signal);
    }
    sends = false;
    await consumer.stop();
    undelivered.clear();
  };
  let lock: LeaderLock | undefined;

  return {
    role: {
      name: consumer.name,
      async start() {
        if (options.shared) lock = standForLead({ ...options.shared, name: consumer.name, log, lead });
        else await begin();
      },
      async stop() {
        deltas.stop();
        await lock?.stop();
        await consumer.stop();
        await confirmations.stop();
      },
      async ready() {
        await lock?.ready();
        await consumer.ready();
      },
    },
    isSender: () => sends,
    deviceConfirmed({ deviceId }, channel, payload) {
      if (channel !== 'command') return;
      const { id, attempt = 1 } = JSON.parse(payload) as { id: string; attempt?: number };
      const entry = undelivered.get(deviceId)?.find(({ command }) => idOf(command) === id);
      // What it has is an attempt before the one that is asked for.
      if (!entry || attemptOf(entry.command) !== attempt) return;
      forget(deviceId, id);
      confirmations.add(id, attempt);
      signal(entry.command, 'io.fleetgraph.command.received.v1');
    },
    deviceListens(device, channel, session) {
      if (channel === 'delta') deltas.deviceListens(device);
      if (channel !== 'command') return;
      for (const entry of undelivered.get(device.deviceId) ?? []) {
        if (entry.sentIn === 'sending') entry.again = true;
        else if (entry.sentIn !== session) entry.sentIn = undefined;
      }
      void pump(device.deviceId);
    },
  };
}

function isEnding(event: Event): event is Ending {
  return (endings as readonly string[]).includes(event.type);
}

function idOf({ data }: RequestedCommand): string {
  return data.commandId;
}

function isExpired({ data }: RequestedCommand): boolean {
  return Date.parse(data.expiresAt) <= Date.now();
}
