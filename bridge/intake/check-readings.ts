/** What every reading must be, whichever decoder and transport it came through. All or nothing: one that is wrong refuses its message. */
import type { DeviceProfile } from '../../backbone/devices/device-directory.js';
import type { Reading } from '../../backbone/events/catalogue.js';
import { isStorableText } from '../../platform/database/storable.js';
import { RejectedPayload, type UncheckedReading } from '../decoders/decoder.js';

export interface ReadingLimits {
  /** How far ahead of `nowMs` a reading may be stamped, in milliseconds. */
  readonly maxFutureMs: number;
  /** How long readings are kept, in milliseconds: older ones would be dropped at once. */
  readonly maxAgeMs: number;
}

const maxReadings = 1_000;
const maxNameLength = 128;
const maxTextLength = 1_024;

/** @throws RejectedPayload with the first reason. */
export function checkReadings(
  readings: readonly UncheckedReading[],
  profile: Pick<DeviceProfile, 'metrics'>,
  nowMs: number,
  limits: ReadingLimits,
): Reading[] {
  if (readings.length > maxReadings) throw new RejectedPayload('too_many_readings');
  return readings.map(({ metric, at, value }) => {
    if (metric.length === 0 || metric.length > maxNameLength || !isStorableText(metric))
      throw new RejectedPayload('bad_metric_name');
    return { metric, at: checkTime(at, nowMs, limits), value: checkValue(metric, value, profile) };
  });
}

function checkTime(at: unknown, nowMs: number, limits: ReadingLimits): number {
  if (typeof at !== 'number' || !Number.isFinite(at) || at < 0) throw new RejectedPayload('bad_timestamp');
  if (at > nowMs + limits.maxFutureMs)
    throw new RejectedPayload(
      'timestamp_in_future',
      `A timestamp is ${Math.round((at - nowMs) / 1_000)} s ahead of the clock; ${limits.maxFutureMs / 1_000} s are allowed. Timestamps are milliseconds since 1970.`,
    );
  if (at < nowMs - limits.maxAgeMs)
    throw new RejectedPayload(
      'timestamp_too_old',
      'A timestamp is older than readings are kept. Timestamps are milliseconds since 1970.',
    );
  return at;
}

function checkValue(
  metric: string,
  value: unknown,
  profile: Pick<DeviceProfile, 'metrics'>,
): number | boolean | string {
  if (typeof value === 'number') {
    // JSON has no NaN, but 1e999 parses to Infinity.
    if (!Number.isFinite(value))
      throw new RejectedPayload('not_finite', `The value of "${metric}" is not a finite number.`);
  } else if (typeof value === 'string') {
    if (value.length > maxTextLength || !isStorableText(value))
      throw new RejectedPayload(
        'text_too_long',
        `The text of "${metric}" has more than ${maxTextLength} characters, or one that can not be stored.`,
      );
  } else if (typeof value !== 'boolean') {
    throw new RejectedPayload('wrong_type', `The value of "${metric}" is neither a number, a boolean nor a text.`);
  }
  const declared = profile.metrics.find(({ name }) => name === metric)?.kind;
  if (declared !== undefined && declared !== (typeof value).toUpperCase()) {
    throw new RejectedPayload('wrong_type', `The device type declares "${metric}" as ${declared}.`);
  }
  return value;
}
