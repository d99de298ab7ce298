/**
 * Where a value of a JSON text ends (RFC 8259), found without parsing it. Each function takes the
 * position of a value and returns the position after it, or -1 if there is no such value. The
 * bytes must be valid UTF-8. White space between the tokens is not accepted: most writers put
 * none.
 */

/** Deeper values, and longer numbers, are left to a parser. */
const maxDepth = 256;
const maxNumberLength = 300;
const maxInt = 2_147_483_647;

const [quotationMark, comma, plus, minus, point, zero, nine, colon] = [34, 44, 43, 45, 46, 48, 57, 58];
const [openBracket, backslash, closeBracket, openBrace, closeBrace] = [91, 92, 93, 123, 125];
const literals = new Map(['true', 'false', 'null'].map((text) => [text.charCodeAt(0), Buffer.from(text)]));

/** Whether the bytes at the position are those of the text. */
export function follows(json: Buffer, at: number, text: Buffer): boolean {
  for (let index = 0; index < text.length; index += 1) if (json[at + index] !== text[index]) return false;
  return true;
}

export function endOfString(json: Buffer, at: number): number {
  if (json[at] !== quotationMark) return -1;
  for (let next = at + 1; ; next += 1) {
    // Beyond the end of the bytes it is undefined, and here a control character.
    const byte = json[next] ?? 0;
    if (byte === quotationMark) return next + 1;
    if (byte < 32) return -1;
    if (byte === backslash) {
      const length = lengthOfEscape(json, next);
      if (length === -1) return -1;
      next += length - 1;
    }
  }
}

/** The end of an integer of 32 bits without point and exponent; -1 for `-0`, which is written as 0. */
export function endOfInt(json: Buffer, at: number): number {
  const start = json[at] === minus ? at + 1 : at;
  let next = start;
  let value = 0;
  for (let byte = json[next] ?? 0; byte >= zero && byte <= nine && value <= maxInt; byte = json[next] ?? 0) {
    value = value * 10 + byte - zero;
    next += 1;
  }
  if (next === start || (json[start] === zero && (next > start + 1 || start > at))) return -1;
  return value > maxInt && (start === at || value > maxInt + 1) ? -1 : next;
}

/** The end of a number that is finite as a JavaScript number. */
export function endOfFloat(json: Buffer, at: number): number {
  const end = endOfNumber(json, at);
  // Without an exponent a number of this length is finite.
  if (end === -1 || endOfDecimal(json, at) === end) return end;
  return Number.isFinite(Number(json.toString('latin1', at, end))) ? end : -1;
}

/** The end of any value. */
export function endOfValue(json: Buffer, at: number, depth = 0): number {
  const first = json[at];
  if (first === quotationMark) return endOfString(json, at);
  if (first === openBrace) return endOfElements(json, at, depth, closeBrace);
  if (first === openBracket) return endOfElements(json, at, depth, closeBracket);
  const literal = literals.get(first ?? 0);
  if (literal) return follows(json, at, literal) ? at + literal.length : -1;
  return endOfNumber(json, at);
}

/** The end of an object or of an array, by the character that closes it. */
function endOfElements(json: Buffer, at: number, depth: number, closing: number): number {
  if (depth >= maxDepth) return -1;
  if (json[at + 1] === closing) return at + 2;
  let next = at;
  do {
    next += 1;
    if (closing === closeBrace) {
      next = endOfString(json, next);
      if (next === -1 || json[next] !== colon) return -1;
      next += 1;
    }
    next = endOfValue(json, next, depth + 1);
    if (next === -1) return -1;
  } while (json[next] === comma);
  return json[next] === closing ? next + 1 : -1;
}

function endOfNumber(json: Buffer, at: number): number {
  const end = endOfDecimal(json, at);
  if (end === -1 || (json[end] !== 69 && json[end] !== 101)) return end;
  const sign = json[end + 1];
  const start = sign === plus || sign === minus ? end + 2 : end + 1;
  const next = endOfDigits(json, start);
  return next === start || next - at > maxNumberLength ? -1 : next;
}

/** Of a number without its exponent. */
function endOfDecimal(json: Buffer, at: number): number {
  const start = json[at] === minus ? at + 1 : at;
  let end = endOfDigits(json, start);
  if (end === start || (json[start] === zero && end > start + 1)) return -1;
  if (json[end] === point) {
    const fraction = end + 1;
    end = endOfDigits(json, fraction);
    if (end === fraction) return -1;
  }
  return end - at > maxNumberLength ? -1 : end;
}

function endOfDigits(json: Buffer, at: number): number {
  let next = at;
  for (let byte = json[next] ?? 0; byte >= zero && byte <= nine; byte = json[next] ?? 0) next += 1;
  return next;
}

/** How many characters the escape at the backslash has, or -1. */
function lengthOfEscape(json: Buffer, at: number): number {
  const kind = String.fromCharCode(json[at + 1] ?? 0);
  if (kind === 'u') return /^[0-9a-fA-F]{4}$/.test(json.toString('latin1', at + 2, at + 6)) ? 6 : -1;
  return '"\\/bfnrt'.includes(kind) ? 2 : -1;
}
