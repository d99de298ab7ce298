/**
 * The default format, as ThingsBoard's device API takes it: `{"temperature": 21.5}` (stamped on arrival),
 * `{"ts": 1700000000000, "values": {…}}` (epoch milliseconds), or an array of either.
 */
import { isObject, parseJson, RejectedPayload, type Decoder, type UncheckedReading } from './decoder.js';

export const jsonDecoder: Decoder = {
  name: 'json',
  decode: (payload, arrivedAt) => readingsOf(parseJson(payload), arrivedAt),
};

/** The readings in a parsed value. @throws RejectedPayload wrong_shape. */
export function readingsOf(value: unknown, arrivedAt: number): readonly UncheckedReading[] {
  if (Array.isArray(value)) {
    if (value.length === 0) throw new RejectedPayload('wrong_shape', 'The payload is an empty array.');
    return value.flatMap((entry) => {
      if (Array.isArray(entry)) throw new RejectedPayload('wrong_shape', 'The payload has an array in its array.');
      return readingsOf(entry, arrivedAt);
    });
  }
  if (!isObject(value))
    throw new RejectedPayload('wrong_shape', 'The payload is neither an object nor an array of objects.');
  const stamped = Object.hasOwn(value, 'ts') && isObject(value['values']);
  const values = stamped ? (value['values'] as Readonly<Record<string, unknown>>) : value;
  const at = stamped ? value['ts'] : arrivedAt;
  const entries = Object.entries(values);
  if (entries.length === 0) throw new RejectedPayload('wrong_shape', 'The payload has no values.');
  return entries.map(([metric, entry]) => ({ metric, at, value: entry }));
}
