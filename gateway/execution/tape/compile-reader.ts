/**
 * Reads an answer of a subgraph into a tape: one pass over its bytes, by functions that are made for the
 * shape of the operation. Members may be missing, and blanks may be anywhere; whatever else is unusual
 * (another order of members, unknown members, errors, text that is no JSON) makes it give up, and the answer
 * is parsed and read by `read-values.ts`, which knows all of it.
 * What it accepts is valid JSON (RFC 8259) in UTF-8, for the bytes go to clients as they are.
 * Text that is made into code is response names alone, which are words, written as JSON or as their bytes.
 */
import { isUtf8 } from 'node:buffer';
import type { JsonObject } from '../json.js';
import type { AnswerField } from './answer-shape.js';
import type { Tape } from './tape.js';

/** @returns the tree of `data`; undefined if the answer is not of the usual form. The tape is as before then. */
export type ReadAnswer = (tape: Tape, answer: Buffer) => JsonObject | undefined;

export function compileReader(fields: readonly AnswerField[]): ReadAnswer {
  let made: ReadAnswer | undefined;
  // Many operations are planned for each one that is asked for: code is made when it is first needed.
  return (tape, answer) => (made ??= make(fields))(tape, answer);
}

type Scan = (tape: Tape, start: number) => { readonly data: JsonObject; readonly isAscii: boolean } | undefined;

function make(fields: readonly AnswerField[]): ReadAnswer {
  const functions: string[] = [];
  const root = objectReader(functions, fields, []);
  const source = `"use strict";\n${scanner}\n${functions.join('\n')}\n${envelope(root)}`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see above: made of names that were parsed
  const scan = (new Function(source) as () => Scan)();
  return (tape, answer) => {
    const { length: start, used } = tape;
    // One more for the zero that ends it: no position beyond the answer is looked at.
    tape.reserve(answer.length + 1);
    answer.copy(tape.bytes, start);
    tape.length = start + answer.length;
    tape.bytes[tape.length] = 0;
    const found = scan(tape, start);
    if (found && (found.isAscii || isUtf8(answer))) return found.data;
    tape.length = start;
    tape.used = used;
    return undefined;
  };
}

/** What all readers have in common. `give up` is `throw unusual`. */
const scanner = `
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

/** \`{"data": …}\`, with other members but \`errors\`, in any order. */
const envelope = (root: string): string => `
function answer() {
  let data;
  if (b[p] <= 32) blanks();
  if (b[p] !== 123) throw unusual;
  p += 1;
  blanks();
  for (;;) {
    const from = p;
    if (b[p] !== 34) throw unusual;
    string();
    const isData = p - from === 6 && b[from + 1] === 100 && b[from + 2] === 97 && b[from + 3] === 116 && b[from + 4] === 97;
    // "errors", or something that could be that word in escapes.
    if (!isData && (b[from + 1] === 101 && b[from + 2] === 114 || b[from + 1] === 92)) throw unusual;
    colon();
    if (!isData) skip(0);
    else if (b[p] === 123 && data === undefined) data = ${root}();
    else throw unusual;
    if (isLast(125)) break;
  }
  blanks();
  if (p !== tape.length || data === undefined) throw unusual;
  return data;
}
return (given, start) => {
  tape = given;
  b = tape.bytes;
  s = tape.spans;
  n = tape.used;
  p = start;
  high = 0;
  try {
    const data = answer();
    tape.used = n;
    return { data, isAscii: high < 128 };
  } catch (error) {
    if (error !== unusual) throw error;
    return undefined;
  } finally {
    tape = b = s = undefined;
  }
};`;

/** @returns the name of the function that reads an object with these fields, at its brace. */
function objectReader(functions: string[], fields: readonly AnswerField[], more: readonly string[]): string {
  const name = `object${functions.length}`;
  // Its place is taken first: those below it have other numbers.
  const index = functions.push('') - 1;
  let members = '';
  for (const field of fields) {
    // The prototype of what is made; read the long way.
    if (field.name === '__proto__') continue;
    members += `if (${isKeyAt(field.name)}) {
p += ${field.name.length + 2};
if (b[p] === 58 && b[p + 1] > 32) p += 1; else colon();
object[${JSON.stringify(field.name)}] = ${valueReader(functions, field)};
if (b[p] === 44 && b[p + 1] > 32) p += 1; else if (isLast(125)) return object;
}
`;
  }
  const empty = [...new Set([...fields.map((field) => field.name), ...more])]
    .filter((key) => key !== '__proto__')
    .map((key) => `${JSON.stringify(key)}: undefined`)
    .join(', ');
  functions[index] = `function ${name}() {
p += 1;
if (b[p] <= 32) blanks();
const object = { ${empty} };
if (b[p] === 125) { p += 1; return object; }
${members}throw unusual;
}`;
  return name;
}

/** Whether the name stands at the position, in quotation marks. */
function isKeyAt(name: string): string {
  return Array.from(Buffer.from(`"${name}"`), (byte, index) => `b[p + ${index}] === ${byte}`).join(' && ');
}

function valueReader(functions: string[], field: AnswerField): string {
  if (field.fields === undefined) {
    if (field.name === '__typename') return 'isNull() ? null : typename()';
    return field.isList ? 'leaves(0)' : 'leaf()';
  }
  const object = objectReader(functions, field.fields, field.more ?? []);
  const name = `value${functions.length}`;
  functions.push(`function ${name}(depth) {
const c = b[p];
if (c === 123) return ${object}();
if (c === 91) {
if (depth > deepest) throw unusual;
const list = [];
p += 1;
if (b[p] <= 32) blanks();
if (b[p] === 93) { p += 1; return list; }
for (;;) {
list.push(${name}(depth + 1));
if (isLast(93)) return list;
}
}
if (isNull()) return null;
throw unusual;
}`);
  return `${name}(0)`;
}
