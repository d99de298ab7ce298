/**
 * Commands and desired states on their way down. A command goes out when its device is connected and listens; until then
 * it waits here, at most until it expires. What waits is held in memory: after a restart of the bridge a waiting command
 * is not sent any more and expires, which its sender sees.
 */
import type pg from 'pg';
import { topics } from '../../backbone/bus/topics.js';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { createConsumer } from '../../backbone/consumer/consumer.js';
import type { DeviceAddress, DownChannel } from '../../backbone/devices/device-topics.js';
import { encode, makeEvent, type Event } from '../../backbone/events/envelope.js';
import type { Role } from '../../platform/lifecycle/role.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';
import type { BridgeMetrics } from '../bridge-metrics.js';
import type { DurablePublisher } from '../intake/durable-publisher.js';
import type { EmbeddedBroker } from '../mqtt/embedded-broker.js';

type Requested = Event<'io.fleetgraph.command.requested.v1'>;

export interface CommandSender {
  readonly consumer: Role;
  /** Sends what waits for a device, now that it listens. */
  readonly deviceListens: (device: DeviceAddress, channel: DownChannel) => void;
}

const maxWaitingPerDevice = 100;
const maxWaitingDevices = 100_000;

export function createCommandSender(options: {
  broker: () => EmbeddedBroker;
  bus: EventBus;
  pool: pg.Pool;
  publisher: DurablePublisher;
  log: Logger;
  metrics: Registry;
  bridgeMetrics: BridgeMetrics;
}): CommandSender {
  const { broker, publisher, log, bridgeMetrics } = options;
  const waiting = new Map<string, Requested[]>();

  const signal = (
    command: Requested,
    type: 'io.fleetgraph.command.dispatched.v1' | 'io.fleetgraph.command.received.v1',
  ): void => {
    const { commandId, deviceId } = command.data;
    const event = makeEvent({
      source: '/bridge',
      type,
      subject: deviceId,
      tenant: command.tenant,
      data: { commandId, deviceId, at: Date.now() },
      causationid: command.id,
      correlationid: command.correlationid,
      traceparent: command.traceparent,
    });
    publisher
      .publish(topics.signals, [encode(event)])
      .catch((error: unknown) => log.warn({ commandId, err: error }, 'the way of a command was not published'));
  };

  const trySend = (command: Requested): boolean => {
    const { commandId: id, deviceId, name, parameters, expiresAt } = command.data;
    const device = { tenant: command.tenant, deviceId };
    const sent = broker().send(device, 'command', JSON.stringify({ id, name, parameters, expiresAt }), () =>
      signal(command, 'io.fleetgraph.command.received.v1'),
    );
    if (!sent) return false;
    bridgeMetrics.commands.inc({ result: 'dispatched' });
    signal(command, 'io.fleetgraph.command.dispatched.v1');
    return true;
  };

  const isExpired = ({ data }: Requested): boolean => Date.parse(data.expiresAt) <= Date.now();

  const keep = (command: Requested): void => {
    const { deviceId } = command.data;
    const queue = (waiting.get(deviceId) ?? []).filter((other) => !isExpired(other));
    if (queue.length >= maxWaitingPerDevice || (!waiting.has(deviceId) && waiting.size >= maxWaitingDevices)) {
      bridgeMetrics.commands.inc({ result: 'overflowed' });
      log.warn(
        { tenant: command.tenant, deviceId, commandId: command.data.commandId },
        'too many commands wait for the device; this one will expire',
      );
      return;
    }
    bridgeMetrics.commands.inc({ result: 'waiting' });
    waiting.set(deviceId, [...queue, command]);
  };

  const take = (event: Event): void => {
    switch (event.type) {
      case 'io.fleetgraph.command.requested.v1':
        if (isExpired(event)) bridgeMetrics.commands.inc({ result: 'expired' });
        else if (waiting.has(event.data.deviceId) || !trySend(event)) keep(event);
        return;
      case 'io.fleetgraph.command.canceled.v1':
      case 'io.fleetgraph.command.expired.v1': {
        const { commandId, deviceId } = event.data;
        const rest = waiting.get(deviceId)?.filter(({ data }) => data.commandId !== commandId);
        if (rest?.length) waiting.set(deviceId, rest);
        else waiting.delete(deviceId);
        return;
      }
      case 'io.fleetgraph.device.desired-state-set.v1':
        broker().send(
          { tenant: event.tenant, deviceId: event.data.deviceId },
          'desired',
          JSON.stringify({ version: event.data.version, desired: event.data.desired }),
        );
        return;
      case 'io.fleetgraph.device.decommissioned.v1':
        waiting.delete(event.data.deviceId);
        broker().kick({ tenant: event.tenant, deviceId: event.data.deviceId });
        return;
      case 'io.fleetgraph.device.credentials-rotated.v1':
        broker().kick({ tenant: event.tenant, deviceId: event.data.deviceId });
        return;
      default:
        return;
    }
  };

  return {
    consumer: createConsumer({
      ...options,
      name: 'bridge-commands',
      topics: [topics.events],
      types: [
        'io.fleetgraph.command.requested.v1',
        'io.fleetgraph.command.canceled.v1',
        'io.fleetgraph.command.expired.v1',
        'io.fleetgraph.device.desired-state-set.v1',
        'io.fleetgraph.device.decommissioned.v1',
        'io.fleetgraph.device.credentials-rotated.v1',
      ],
      async handle(events) {
        for (const { event } of events) take(event);
      },
    }),
    deviceListens(device, channel) {
      if (channel !== 'command') return;
      const queue = waiting.get(device.deviceId);
      waiting.delete(device.deviceId);
      for (const command of queue ?? []) {
        if (isExpired(command)) bridgeMetrics.commands.inc({ result: 'expired' });
        else if (!trySend(command)) keep(command);
      }
    },
  };
}
