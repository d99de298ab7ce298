/**
 * JSON whose numbers keep their digits. A JavaScript number holds integers up to 2^53 exactly; ids of
 * 64 bits are usual in JSON of other languages (RFC 8259, section 6). A number that would be rounded, or
 * would not be finite, is a `LosslessNumber` with its text; every other number is a plain one.
 */
import { isLosslessNumber, LosslessNumber, stringify } from 'lossless-json';
import { randomUUID } from 'node:crypto';

export { isLosslessNumber, LosslessNumber };

/**
 * Whether a text could have such a number: an integer part of 16 digits, or an exponent of three.
 * Also matches what looks like one inside of a string, which costs time and nothing else.
 */
const mayRound = /(?:^|[[:,\s])-?(?:\d{16}|\d+(?:\.\d+)?[eE]\+?\d{3})/;

/** Each match of `mayRound` has one of these. An engine finds them several times as fast. */
const hasLongNumber = /\d{16}|\d[eE]\+?\d{3}/;

/** False for nearly every text: then `JSON.parse` reads its numbers as they are. */
export function mayHoldLosslessNumber(text: string): boolean {
  return hasLongNumber.test(text) && mayRound.test(text);
}

/**
 * The value of a JSON text. The engine's own parser reads it, a hundred times as fast as one in JavaScript: what it would
 * round is given to it as a string that nobody can know.
 * @throws SyntaxError if it is not JSON.
 */
export function parseExactJson(text: string): unknown {
  if (!mayHoldLosslessNumber(text)) return JSON.parse(text);
  const mark = `number ${randomUUID()} `;
  const marked = markNumbers(text, mark);
  if (marked === text) return JSON.parse(text);
  try {
    return unmark(JSON.parse(marked), mark);
  } catch {
    // It is not JSON, and says so in the words of the text itself.
    return JSON.parse(text);
  }
}

/** The text with each number that would be rounded as a string. */
function markNumbers(text: string, mark: string): string {
  let [marked, copied] = ['', 0];
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === quotation) index = endOfString(text, index);
    else if (code === minus || isDigit(code)) {
      const start = index;
      let hasExponent = false;
      for (let next = text.charCodeAt(index + 1); isOfNumber(next); next = text.charCodeAt(index + 1)) {
        hasExponent ||= isExponent(next);
        index += 1;
      }
      if (index - start < 15 && !hasExponent) continue;
      const digits = text.slice(start, index + 1);
      if (!isNumber.test(digits) || typeof exactNumber(digits) === 'number') continue;
      marked += `${text.slice(copied, start)}"${mark}${digits}"`;
      copied = index + 1;
    }
  }
  return copied === 0 ? text : marked + text.slice(copied);
}

/** Index of the quotation mark that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end === -1) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === backslash) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
}

/** Puts the numbers in the place of their marks, in the value itself. @throws SyntaxError for one that is a name. */
function unmark(value: unknown, mark: string): unknown {
  if (typeof value === 'string') return value.startsWith(mark) ? new LosslessNumber(value.slice(mark.length)) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) value[index] = unmark(value[index], mark);
    return value;
  }
  const members = value as Record<string, unknown>;
  for (const name in members) {
    if (name.startsWith(mark)) throw new SyntaxError('A number is no name of a member.');
    const member = members[name];
    if (typeof member === 'string' || typeof member === 'object') members[name] = unmark(member, mark);
  }
  return value;
}

const [quotation, backslash, minus, plus, dot] = [0x22, 0x5c, 0x2d, 0x2b, 0x2e];
const isNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isOfNumber(code: number): boolean {
  return isDigit(code) || code === dot || code === plus || code === minus || isExponent(code);
}

function isExponent(code: number): boolean {
  return code === 0x65 || code === 0x45;
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
