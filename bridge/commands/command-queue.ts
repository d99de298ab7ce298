/**
 * The commands that are on their way to devices, in memory: for each device in the order of the requests, and none is sent before the
 * one in front of it. What is in here is in the database too (undelivered-commands.ts); it leaves when the device has confirmed it
 * or it has ended.
 */
import type { DeviceAddress } from '../../backbone/devices/device-topics.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { BridgeMetrics } from '../bridge-metrics.js';
import type { DeviceBroker } from '../mqtt/device-broker.js';
import { attemptOf, type RequestedCommand } from './undelivered-commands.js';

interface Undelivered {
  command: RequestedCommand;
  /** Session that it was last sent in; undefined while it waits. */
  sentIn: number | 'sending' | undefined;
  /** The device came to listen while it was being sent. */
  again: boolean;
}

const maxPerDevice = 100;
const maxDevices = 100_000;
/** How many devices are tried again at once. */
const maxDevicesAtOnce = 500;

export interface CommandQueue {
  /** Those of the requests that are new, in time, and find room. Nothing is done with them yet. */
  admit(requests: readonly RequestedCommand[]): readonly RequestedCommand[];
  /** Takes up a command without sending it. */
  keep(command: RequestedCommand): void;
  /** Takes up a command, and sends it as soon as it is its turn and its device listens. */
  request(command: RequestedCommand): void;
  /** Sends again what is asked for again: in its place in the queue if it is still there, or behind the others. */
  requestAgain(command: RequestedCommand): void;
  forget(deviceId: string, commandId: string): void;
  forgetDevice(deviceId: string): void;
  /** The device has confirmed this attempt. @returns the command, which is forgotten; undefined if that is not what is asked for now. */
  confirmed(deviceId: string, commandId: string, attempt: number): RequestedCommand | undefined;
  /** Sends what waits for a device, now that it listens in this session. */
  deviceListens(device: DeviceAddress, session: number): void;
  /** Tries for all that nobody listened to: who begins to listen is not always heard of from a broker elsewhere. */
  sendWaiting(): void;
  clear(): void;
}

export function createCommandQueue(options: {
  broker: () => DeviceBroker;
  log: Logger;
  bridgeMetrics: BridgeMetrics;
  /** A device was sent the command. */
  onSent: (command: RequestedCommand) => void;
}): CommandQueue {
  const { broker, log, bridgeMetrics, onSent } = options;
  const undelivered = new Map<string, Undelivered[]>();
  const pumping = new Set<string>();

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
    onSent(command);
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

  return {
    admit(requests) {
      const admitted = new Map<string, RequestedCommand>();
      const perDevice = new Map<string, number>();
      for (const command of requests) {
        const { deviceId, commandId } = command.data;
        const known = undelivered.get(deviceId) ?? [];
        const count = perDevice.get(deviceId) ?? known.length;
        const key = `${commandId}/${attemptOf(command)}`;
        const sameId = known.find((other) => idOf(other.command) === commandId);
        if (isExpired(command)) bridgeMetrics.commands.inc({ result: 'expired' });
        else if (admitted.has(key) || (sameId !== undefined && attemptOf(sameId.command) >= attemptOf(command)))
          continue;
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
    },
    keep: (command) => void keep(command),
    request,
    requestAgain(command) {
      const known = undelivered.get(command.data.deviceId)?.find((other) => idOf(other.command) === idOf(command));
      if (known === undefined) {
        request(command);
        return;
      }
      known.command = command;
      if (known.sentIn !== 'sending') known.sentIn = undefined;
      void pump(command.data.deviceId);
    },
    forget,
    forgetDevice: (deviceId) => void undelivered.delete(deviceId),
    confirmed(deviceId, commandId, attempt) {
      const entry = undelivered.get(deviceId)?.find(({ command }) => idOf(command) === commandId);
      // What it has is an attempt before the one that is asked for.
      if (!entry || attemptOf(entry.command) !== attempt) return undefined;
      forget(deviceId, commandId);
      return entry.command;
    },
    deviceListens({ deviceId }, session) {
      for (const entry of undelivered.get(deviceId) ?? []) {
        if (entry.sentIn === 'sending') entry.again = true;
        else if (entry.sentIn !== session) entry.sentIn = undefined;
      }
      void pump(deviceId);
    },
    sendWaiting() {
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
    },
    clear: () => undelivered.clear(),
  };
}

function idOf({ data }: RequestedCommand): string {
  return data.commandId;
}

function isExpired({ data }: RequestedCommand): boolean {
  return Date.parse(data.expiresAt) <= Date.now();
}
