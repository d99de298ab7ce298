/**
 * Decoders turn the payload of a device into readings. A device type names its decoder. To add one: write a file that
 * exports a `Decoder` and put it in the table of `decoders.ts`.
 */
import type { Reading } from '../../backbone/events/catalogue.js';

export interface Decoder {
  readonly name: string;
  /**
   * The readings in a payload, unchecked: metric names, kinds and times are checked for all decoders alike.
   * `arrivedAt` (epoch ms) is for readings that carry no time of their own.
   * @throws RejectedPayload when the payload isn't of this form.
   */
  decode(payload: string, arrivedAt: number): readonly UncheckedReading[];
}

export interface UncheckedReading {
  readonly metric: string;
  readonly at: unknown;
  readonly value: unknown;
}

export type { Reading };

/** Why a message is refused: the closed list that metrics, log and replies show. */
export const rejectionReasons = {
  malformed_json: 'The payload is not JSON.',
  wrong_shape: 'The payload has not the shape that the decoder of the device type takes.',
  wrong_type: 'A value is not of the kind that its metric has.',
  not_finite: 'A number is too large to be one.',
  text_too_long: 'A text has more than 1,024 characters, or a character that can not be stored.',
  not_storable: 'What was sent is too large or nested too deep to be kept, or has a character that can not be stored.',
  bad_metric_name: 'A metric has a name that is empty, too long, or has a character that can not be stored.',
  too_many_readings: 'A message has more than 1,000 readings.',
  bad_timestamp: 'A timestamp is not a number of milliseconds since 1970.',
  timestamp_in_future: 'A timestamp is further ahead of the clock than allowed.',
  timestamp_too_old: 'A timestamp is older than readings are kept.',
  payload_too_large: 'The payload is larger than the limit.',
  unknown_device: 'There is no such device in the tenant, or it is decommissioned.',
  unknown_decoder: 'The decoder that the device type names does not exist.',
  foreign_topic: 'The topic is not one of the device.',
  unknown_topic: 'Devices do not publish on this topic.',
} as const;

export type RejectionReason = keyof typeof rejectionReasons;

/** The message can't be accepted, now or ever: it is counted, shown, and dropped. */
export class RejectedPayload extends Error {
  readonly reason: RejectionReason;
  constructor(reason: RejectionReason, message: string = rejectionReasons[reason]) {
    super(message);
    this.name = 'RejectedPayload';
    this.reason = reason;
  }
}

/** A JSON value from text. @throws RejectedPayload malformed_json. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new RejectedPayload(
      'malformed_json',
      `The payload is not JSON: ${error instanceof Error ? error.message.slice(0, 200) : ''}`,
    );
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
