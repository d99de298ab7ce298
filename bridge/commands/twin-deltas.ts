/**
 * What a device is still to do about its twin, on its topic `delta`: when it begins to listen, and when either half has changed.
 * Invariant: it is read when it is sent, and one device's are sent one behind the other; so the last that a device gets is
 * what there was last. What overtakes it elsewhere (another bridge, the broker's queue) has a lower revision.
 */
import type { DeviceDirectory } from '../../backbone/devices/device-directory.js';
import type { DeviceAddress } from '../../backbone/devices/device-topics.js';
import { twinDelta } from '../../backbone/devices/twin-delta.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import { createOutageLog } from '../../platform/observability/outage-log.js';
import type { DeviceBroker } from '../mqtt/device-broker.js';

export interface TwinDeltas {
  /** Sends what is left, if anything is. What can't be read now is read as soon as it can. */
  deviceListens(device: DeviceAddress): void;
  /**
   * Sends what is left now; of a change of the desired half also that nothing is left. Resolves when it is on its way, or nobody listens.
   * @throws when the twin can't be read.
   */
  changed(device: DeviceAddress, half: 'desired' | 'reported'): Promise<void>;
  stop(): void;
}

interface Turn {
  /** Asked for again since it was read. */
  again: boolean;
  evenIfNone: boolean;
  readonly done: Promise<void>;
}

export function createTwinDeltas(options: {
  readonly broker: () => DeviceBroker;
  readonly directory: Pick<DeviceDirectory, 'twin'>;
  readonly log: Logger;
}): TwinDeltas {
  const { broker, directory, log } = options;
  const stopped = new AbortController();
  const outages = createOutageLog({ log, event: 'twins of devices can not be read' });
  const turns = new Map<string, Turn>();

  const send = async (device: DeviceAddress, evenIfNone: boolean): Promise<void> => {
    const twin = await directory.twin(device.tenant, device.deviceId);
    if (twin === undefined) return;
    const delta = twinDelta(twin);
    if (!evenIfNone && Object.keys(delta).length === 0) return;
    const { revision, desiredVersion: version } = twin;
    await broker().send(device, 'delta', { payload: JSON.stringify({ revision, version, delta }) });
  };

  const ask = (device: DeviceAddress, evenIfNone: boolean): Promise<void> => {
    const waiting = turns.get(device.deviceId);
    if (waiting !== undefined) {
      waiting.again = true;
      waiting.evenIfNone ||= evenIfNone;
      return waiting.done;
    }
    const take = async (): Promise<void> => {
      try {
        do {
          const even = turn.evenIfNone;
          [turn.again, turn.evenIfNone] = [false, false];
          await send(device, even);
        } while (turn.again);
      } finally {
        turns.delete(device.deviceId);
      }
    };
    // Begins in the next turn of the loop, when `turn` is there.
    const turn: Turn = { again: false, evenIfNone, done: Promise.resolve().then(take) };
    turns.set(device.deviceId, turn);
    return turn.done;
  };

  const untilSent = async (device: DeviceAddress): Promise<void> => {
    for (let attempt = 0; !stopped.signal.aborted; attempt += 1) {
      try {
        await ask(device, false);
        outages.succeeded('twins');
        return;
      } catch (error) {
        outages.failed('twins', error);
        await pause(100 + backoffMs(attempt, 100, 5_000), stopped.signal);
      }
    }
  };

  return {
    deviceListens: (device) => void untilSent(device),
    changed: (device, half) => ask(device, half === 'desired'),
    stop: () => stopped.abort(),
  };
}
