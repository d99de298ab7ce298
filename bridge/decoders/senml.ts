/**
 * Sensor Measurement Lists in JSON (RFC 8428): an array of records with base name `bn`, base time `bt`, name `n`, time
 * `t` (seconds; below 2^28 relative to arrival), and one of `v`, `vb`, `vs`. Sums (`s`) and data (`vd`) are not taken.
 */
import { isObject, parseJson, RejectedPayload, type Decoder, type UncheckedReading } from './decoder.js';

/** The version that RFC 8428 defines. */
const latestVersion = 10;
const relativeTimeLimit = 2 ** 28;

export const senmlDecoder: Decoder = {
  name: 'senml',
  decode(payload, arrivedAt) {
    const pack = parseJson(payload);
    if (!Array.isArray(pack) || pack.length === 0)
      throw new RejectedPayload('wrong_shape', 'A SenML pack is an array of records.');
    let baseName = '';
    let baseTime = 0;
    let baseValue = 0;
    const readings: UncheckedReading[] = [];
    for (const record of pack) {
      if (!isObject(record)) throw new RejectedPayload('wrong_shape', 'A SenML record is an object.');
      checkUnderstood(record);
      baseName = text(record['bn'], baseName);
      baseTime = number(record['bt'], baseTime);
      baseValue = number(record['bv'], baseValue);
      const seconds = baseTime + number(record['t'], 0);
      const metric = baseName + text(record['n'], '');
      const at = seconds < relativeTimeLimit ? arrivedAt + seconds * 1_000 : seconds * 1_000;
      const v = record['v'];
      const value = typeof v === 'number' ? baseValue + v : (record['vb'] ?? record['vs']);
      // A record with base fields alone carries no reading.
      if (value !== undefined) readings.push({ metric, at, value });
    }
    if (readings.length === 0) throw new RejectedPayload('wrong_shape', 'The SenML pack has no value.');
    return readings;
  },
};

/** Section 4.4: who does not know the version, or a field whose name ends in "_", must not guess. @throws RejectedPayload. */
function checkUnderstood(record: Readonly<Record<string, unknown>>): void {
  if (number(record['bver'], latestVersion, 'version') > latestVersion)
    throw new RejectedPayload('wrong_shape', `The SenML version is later than ${latestVersion}.`);
  const unknown = Object.keys(record).find((name) => name.endsWith('_'));
  if (unknown !== undefined)
    throw new RejectedPayload('wrong_shape', `The SenML field "${unknown.slice(0, 64)}" is not understood.`);
}

function text(value: unknown, fallback: string): string {
  if (value === undefined) return fallback;
  if (typeof value !== 'string') throw new RejectedPayload('wrong_shape', 'A SenML name is a text.');
  return value;
}

function number(value: unknown, fallback: number, what = 'time or base value'): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number') throw new RejectedPayload('wrong_shape', `A SenML ${what} is a number.`);
  return value;
}
