/**
 * JSON whose numbers keep their digits. A JavaScript number holds integers up to 2^53 exactly; ids of
 * 64 bits are usual in JSON of other languages (RFC 8259, section 6). A number that would be rounded, or
 * would not be finite, is a `LosslessNumber` with its text; every other number is a plain one.
 */
import { isLosslessNumber, LosslessNumber, parse, stringify } from 'lossless-json';

export { isLosslessNumber, LosslessNumber };

/**
 * Whether a text could have such a number: an integer part of 16 digits, or an exponent of three.
 * Also matches what looks like one inside of a string, which costs time and nothing else.
 */
const mayRound = /(?:^|[[:,\s])-?(?:\d{16}|\d+(?:\.\d+)?[eE]\+?\d{3})/;

/** False for nearly every text: then `JSON.parse` reads its numbers as they are. */
export function mayHoldLosslessNumber(text: string): boolean {
  return mayRound.test(text);
}

/** The value of a JSON text. @throws SyntaxError if it is not JSON. */
export function parseExactJson(text: string): unknown {
  if (!mayRound.test(text)) return JSON.parse(text);
  return parse(text, undefined, { parseNumber: exactNumber, onDuplicateKey: ({ newValue }) => newValue });
}

/** The JSON text of a value, with the digits that its numbers came with. Undefined for `undefined` and functions. */
export function exactJson(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !hasLosslessNumber(value)) return JSON.stringify(value);
  return stringify(value);
}

/** Whether a number of this text is not finite as a JavaScript number: no service can be sent its value. */
export function isBeyondFloat({ value }: LosslessNumber): boolean {
  return !Number.isFinite(Number(value));
}

/** Whether the value is, or holds somewhere, a number that a JavaScript number cannot hold. */
export function hasLosslessNumber(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some(hasLosslessNumber);
  if (isLosslessNumber(value)) return true;
  for (const name in value) if (hasLosslessNumber((value as Record<string, unknown>)[name])) return true;
  return false;
}

/** The value of a number in JSON or in GraphQL, which write them alike. */
export function exactNumber(text: string): number | LosslessNumber {
  const value = Number(text);
  const isRounded = Math.abs(value) > Number.MAX_SAFE_INTEGER && /^-?\d+(\.\d+)?$/.test(text) && String(value) !== text;
  return isRounded || !Number.isFinite(value) ? new LosslessNumber(text) : value;
}
