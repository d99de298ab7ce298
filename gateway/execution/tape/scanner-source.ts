/**
 * What all readers of answers have in common, as text that is made into code together with them: so the
 * position and the bytes are variables of one closure, and not members of an object. It accepts valid JSON
 * (RFC 8259) with blanks wherever they may be; all else is `throw unusual`.
 */

/** Source of functions that work on the variables `tape`, `b` (its bytes), `p` (position), `s` (spans) and `n` (used). */
export const scanner = `
const unusual = new Error('The answer is not of the usual form.');
let tape, b, p, s, n, high;
const deepest = 100;

function blanks() {
  while (b[p] === 32 || b[p] === 10 || b[p] === 13 || b[p] === 9) p += 1;
}

function span(from) {
  if (n + 2 > s.length) {
    tape.used = n;
    tape.reserveLeaves(64);
    s = tape.spans;
  }
  s[n] = from;
  s[n + 1] = p;
  n += 2;
  return (n >> 1) - 1;
}

function isHex(c) {
  return (c >= 48 && c <= 57) || (c >= 65 && c <= 70) || (c >= 97 && c <= 102);
}

function string() {
  p += 1;
  for (;;) {
    const c = b[p];
    if (c === 34) break;
    if (c < 32) throw unusual;
    if (c === 92) {
      p += 1;
      const e = b[p];
      if (e === 117) {
        if (!(isHex(b[p + 1]) && isHex(b[p + 2]) && isHex(b[p + 3]) && isHex(b[p + 4]))) throw unusual;
        p += 4;
      } else if (e !== 34 && e !== 92 && e !== 47 && e !== 98 && e !== 102 && e !== 110 && e !== 114 && e !== 116) throw unusual;
    }
    high |= c;
    p += 1;
  }
  p += 1;
}

function digits() {
  if (b[p] < 48 || b[p] > 57) throw unusual;
  do p += 1;
  while (b[p] >= 48 && b[p] <= 57);
}

function number() {
  if (b[p] === 45) p += 1;
  if (b[p] === 48) p += 1;
  else digits();
  if (b[p] === 46) {
    p += 1;
    digits();
  }
  if (b[p] === 101 || b[p] === 69) {
    p += 1;
    if (b[p] === 43 || b[p] === 45) p += 1;
    digits();
  }
}

function literal() {
  if (b[p] === 116 && b[p + 1] === 114 && b[p + 2] === 117 && b[p + 3] === 101) p += 4;
  else if (b[p] === 102 && b[p + 1] === 97 && b[p + 2] === 108 && b[p + 3] === 115 && b[p + 4] === 101) p += 5;
  else throw unusual;
}

function isNull() {
  if (b[p] !== 110) return false;
  if (b[p + 1] !== 117 || b[p + 2] !== 108 || b[p + 3] !== 108) throw unusual;
  p += 4;
  return true;
}

/** Any JSON. */
function skip(depth) {
  const c = b[p];
  if (c === 34) string();
  else if (c === 123) {
    if (depth > deepest) throw unusual;
    p += 1;
    blanks();
    if (b[p] === 125) { p += 1; return; }
    for (;;) {
      if (b[p] !== 34) throw unusual;
      string();
      colon();
      skip(depth + 1);
      if (isLast(125)) return;
    }
  } else if (c === 91) {
    if (depth > deepest) throw unusual;
    p += 1;
    blanks();
    if (b[p] === 93) { p += 1; return; }
    for (;;) {
      skip(depth + 1);
      if (isLast(93)) return;
    }
  } else if (c === 45 || (c >= 48 && c <= 57)) number();
  else if (!isNull()) literal();
}

function colon() {
  if (b[p] <= 32) blanks();
  if (b[p] !== 58) throw unusual;
  p += 1;
  if (b[p] <= 32) blanks();
}

/** After a member or an element: whether the bracket that closes follows it, and not another one. */
function isLast(closing) {
  if (b[p] <= 32) blanks();
  const c = b[p];
  p += 1;
  if (c === 44) {
    if (b[p] <= 32) blanks();
    return false;
  }
  if (c !== closing) throw unusual;
  return true;
}

function leaf() {
  const from = p;
  const c = b[p];
  if (c === 34) string();
  else if (c === 45 || (c >= 48 && c <= 57)) number();
  else if (c === 123 || c === 91) skip(0);
  else if (isNull()) return null;
  else literal();
  return span(from);
}

function leaves(depth) {
  if (b[p] !== 91) return leaf();
  if (depth > deepest) throw unusual;
  const list = [];
  p += 1;
  if (b[p] <= 32) blanks();
  if (b[p] === 93) { p += 1; return list; }
  for (;;) {
    list.push(leaves(depth + 1));
    if (isLast(93)) return list;
  }
}

const names = new Map();
/** The name of a type; the same few come again and again, and each is one string. */
function typename() {
  if (b[p] !== 34) throw unusual;
  const from = p + 1;
  string();
  let hash = p - from;
  for (let i = from; i < p - 1; i += 1) {
    const c = b[i];
    // A name is a word, which needs no escapes.
    if (!((c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95 || (c >= 48 && c <= 57))) throw unusual;
    hash = (hash * 31 + c) | 0;
  }
  const known = names.get(hash);
  if (known !== undefined && isAt(known, from)) return known;
  const name = b.latin1Slice(from, p - 1);
  if (names.size < 1000) names.set(hash, name);
  return name;
}

function isAt(text, from) {
  if (p - 1 - from !== text.length) return false;
  for (let i = 0; i < text.length; i += 1) if (b[from + i] !== text.charCodeAt(i)) return false;
  return true;
}
`;
