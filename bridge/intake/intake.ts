/**
 * The intake: the one way in for what devices say, whatever carried it. A message is checked, decoded and made durable on
 * the bus; only when the promise resolves may its carrier acknowledge it. A message that can't be accepted is refused:
 * counted, shown, dropped, and reported to the carrier as a `RejectedPayload`, which never stops what comes behind it.
 * So is one that the bus will never take: sent again, it would fail again.
 */
import { stateFault } from '../../backbone/devices/device-state.js';
import { topics } from '../../backbone/bus/topics.js';
import type { DeviceProfile } from '../../backbone/devices/device-directory.js';
import type { UpChannel } from '../../backbone/devices/device-topics.js';
import type { EventData, EventType } from '../../backbone/events/catalogue.js';
import { encode, makeEvent, type Event } from '../../backbone/events/envelope.js';
import { jsonFault, type Json, type JsonObject } from '../../platform/database/storable.js';
import { FleetgraphError } from '../../platform/errors.js';
import type { Logger } from '../../platform/observability/logger.js';
import { currentTraceparent } from '../../platform/observability/trace-context.js';
import { isObject, parseJson, RejectedPayload, type UncheckedReading } from '../decoders/decoder.js';
import { findDecoder } from '../decoders/decoders.js';
import type { ArrivalClock } from './arrival-clock.js';
import { checkReadings, type ReadingLimits } from './check-readings.js';
import { readAck } from './command-answer.js';
import type { DurablePublisher } from './durable-publisher.js';

/** Levels of nesting in the data of a device's event. */
const maxEventDepth = 32;

export interface Intake {
  /** Readings as a decoder or a carrier found them. */
  readings(profile: DeviceProfile, readings: readonly UncheckedReading[]): Promise<void>;
  /** A payload on one of the device's topics. `presence` is the carrier's own business. */
  message(profile: DeviceProfile, channel: Exclude<UpChannel, 'presence'>, payload: Buffer): Promise<void>;
  /** Epoch ms for a reading of the device that has no time of its own. */
  stamp(deviceId: string): number;
}

/** Makes the intake. Its functions reject with RejectedPayload, or FleetgraphError UNAVAILABLE when nothing can be stored. */
export function createIntake(options: {
  publisher: DurablePublisher;
  clock: ArrivalClock;
  limits: ReadingLimits & { readonly maxPayloadBytes: number };
  log: Logger;
}): Intake {
  const { publisher, clock, limits, log } = options;

  const store = async <T extends EventType>(
    topic: string,
    profile: DeviceProfile,
    type: T,
    data: EventData<T>,
  ): Promise<void> => {
    const event = makeEvent<T>({
      source: '/bridge',
      type,
      subject: profile.deviceId,
      tenant: profile.tenant,
      data,
      traceparent: currentTraceparent(),
    });
    await publisher.publish(topic, [encode(event as Event)]);
  };

  const readings = async (profile: DeviceProfile, unchecked: readonly UncheckedReading[]): Promise<void> => {
    const checked = checkReadings(unchecked, profile, Date.now(), limits);
    await store(topics.telemetry, profile, 'io.fleetgraph.telemetry.received.v1', {
      deviceId: profile.deviceId,
      readings: checked,
    });
  };

  const message: Intake['message'] = async (profile, channel, payload) => {
    if (payload.length > limits.maxPayloadBytes)
      throw new RejectedPayload(
        'payload_too_large',
        `The payload has ${payload.length} bytes; ${limits.maxPayloadBytes} are allowed.`,
      );
    const { deviceId } = profile;
    const text = payload.toString('utf8');
    switch (channel) {
      case 'telemetry': {
        const decoder = findDecoder(profile.decoder);
        if (!decoder) throw new RejectedPayload('unknown_decoder', `There is no decoder "${profile.decoder}".`);
        return readings(profile, decoder.decode(text, clock.stamp(deviceId)));
      }
      case 'state': {
        const reported = parseJson(text);
        if (!isObject(reported)) throw new RejectedPayload('wrong_shape', 'A reported state is a JSON object.');
        const fault = stateFault(reported as JsonObject);
        if (fault !== undefined) throw new RejectedPayload('not_storable', `The reported state ${fault}.`);
        return store(topics.signals, profile, 'io.fleetgraph.device.state-reported.v1', {
          deviceId,
          reported: reported as EventData<'io.fleetgraph.device.state-reported.v1'>['reported'],
          at: clock.stamp(deviceId),
        });
      }
      case 'event': {
        const event = parseJson(text);
        if (
          !isObject(event) ||
          typeof event['name'] !== 'string' ||
          event['name'].length < 1 ||
          event['name'].length > 128
        ) {
          throw new RejectedPayload(
            'wrong_shape',
            'An event is {"name": "…", "data": …} with a name of 1 to 128 characters.',
          );
        }
        const data = (event['data'] ?? null) as Json;
        const found = jsonFault({ name: event['name'], data }, 'event', maxEventDepth);
        if (found) throw new RejectedPayload('not_storable', `The event ${found.fault}.`);
        return store(topics.signals, profile, 'io.fleetgraph.device.event-raised.v1', {
          deviceId,
          name: event['name'],
          data: data as EventData<'io.fleetgraph.device.event-raised.v1'>['data'],
          at: clock.stamp(deviceId),
        });
      }
      case 'command/ack': {
        const ack = readAck(text);
        const at = clock.stamp(deviceId);
        if (ack.status === 'IN_PROGRESS')
          return store(topics.signals, profile, 'io.fleetgraph.command.progress-reported.v1', {
            commandId: ack.commandId,
            deviceId,
            at,
            ...(ack.progress === undefined ? {} : { progress: ack.progress }),
            ...(ack.message === undefined ? {} : { message: ack.message }),
          });
        if (ack.status === 'RECEIVED')
          return store(topics.signals, profile, 'io.fleetgraph.command.received.v1', {
            commandId: ack.commandId,
            deviceId,
            at,
          });
        return store(topics.signals, profile, 'io.fleetgraph.command.acknowledged.v1', {
          ...ack,
          deviceId,
          at,
        });
      }
    }
  };

  /** Refuses what failed for another reason than that nothing can be stored now. */
  const orRefuse = async ({ tenant, deviceId }: DeviceProfile, taken: Promise<void>): Promise<void> => {
    try {
      await taken;
    } catch (error) {
      const refusal = refusalOf(error);
      if (!refusal) throw error;
      if (refusal !== error) log.error({ tenant, deviceId, err: error }, 'message can not be stored; it is refused');
      throw refusal;
    }
  };

  return {
    readings: (profile, unchecked) => orRefuse(profile, readings(profile, unchecked)),
    message: (profile, channel, payload) => orRefuse(profile, message(profile, channel, payload)),
    stamp: (deviceId) => clock.stamp(deviceId),
  };
}

/** Why a message is refused; undefined if it may be taken later, because nothing can be stored now. */
export function refusalOf(error: unknown): RejectedPayload | undefined {
  if (error instanceof RejectedPayload) return error;
  if (error instanceof FleetgraphError && error.code === 'UNAVAILABLE') return undefined;
  // The log has the cause of a defect; the device is told no more than that.
  return new RejectedPayload('not_storable', error instanceof FleetgraphError ? error.message : undefined);
}
