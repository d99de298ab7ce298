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
import { createCommandQueue } from './command-queue.js';
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

/** How often those that nobody listened to are tried again. */
const retryMs = 2_000;

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
        commandId,
        deviceId,
        at: Date.now(),
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

  const queue = createCommandQueue({
    broker,
    log,
    bridgeMetrics,
    onSent: (command) => signal(command, 'io.fleetgraph.command.dispatched.v1'),
  });

  /** Like any publish, it reaches a device that listens; whoever must be reached later is sent a command. */
  const tell = async ({ tenant, data }: Event<'io.fleetgraph.message.requested.v1'>): Promise<void> => {
    const { messageId: id, deviceId, topic, payload } = data;
    const message = { payload: JSON.stringify({ id, topic, payload }), correlationId: id };
    const session = await broker().send({ tenant, deviceId }, 'message', message);
    bridgeMetrics.told.inc({ result: session === undefined ? 'unheard' : 'sent' });
  };

  const take = (event: Event, kept: ReadonlySet<Event>): void => {
    switch (event.type) {
      case 'io.fleetgraph.command.requested.v1':
        if (kept.has(event)) queue.request(event);
        return;
      case 'io.fleetgraph.command.retried.v1':
        if (kept.has(event)) queue.requestAgain(event);
        return;
      case 'io.fleetgraph.device.desired-state-set.v1':
        void broker().send({ tenant: event.tenant, deviceId: event.data.deviceId }, 'desired', {
          payload: JSON.stringify({ version: event.data.version, desired: event.data.desired }),
        });
        return;
      case 'io.fleetgraph.device.decommissioned.v1':
        queue.forgetDevice(event.data.deviceId);
        broker().kick({ tenant: event.tenant, deviceId: event.data.deviceId });
        return;
      case 'io.fleetgraph.device.credentials-rotated.v1':
        broker().kick({ tenant: event.tenant, deviceId: event.data.deviceId });
        return;
      default:
        if (isEnding(event)) queue.forget(event.data.deviceId, event.data.commandId);
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
      const added = queue.admit(
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

  const begin = async (): Promise<void> => {
    queue.clear();
    for (const command of await store.load()) queue.keep(command);
    sends = true;
    await consumer.start();
  };

  const lead = async (signal: AbortSignal): Promise<void> => {
    await begin();
    while (!signal.aborted) {
      queue.sendWaiting();
      await pause(retryMs, signal);
    }
    sends = false;
    await consumer.stop();
    queue.clear();
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
      const command = queue.confirmed(deviceId, id, attempt);
      if (command === undefined) return;
      confirmations.add(id, attempt);
      signal(command, 'io.fleetgraph.command.received.v1');
    },
    deviceListens(device, channel, session) {
      if (channel === 'delta') deltas.deviceListens(device);
      if (channel === 'command') queue.deviceListens(device, session);
    },
  };
}

function isEnding(event: Event): event is Ending {
  return (endings as readonly string[]).includes(event.type);
}
