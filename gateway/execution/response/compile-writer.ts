/**
 * The answer as JSON, straight from what the subgraphs gave: a function is made for each object of the
 * operation's shape that writes its fields one after the other, of the spans of a tape (`tape/tape.ts`). It
 * knows nothing of failures. Whatever doesn't fit makes it give up, and `complete.ts` takes over, which
 * knows all of them; so this can be as plain, and as fast, as it is.
 * Text that is made into code is names of the schema and of the operation alone, which are words, and
 * written as JSON.
 */
import {
  isAbstractType,
  isEnumType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  type GraphQLLeafType,
  type GraphQLOutputType,
} from 'graphql';
import { isInherited, type JsonObject } from '../json.js';
import type { Tape } from '../tape/tape.js';
import { dependsOnType, type FieldShape, type ResponseShape, type ShapeType } from './response-shape.js';

/**
 * Writes `{"data":…}` after the content of the tape, and truncates the tape again.
 * @returns bytes of its own; undefined if something in the data doesn't fit.
 */
export type Writer = (tape: Tape, data: JsonObject, introspection: JsonObject) => Buffer | undefined;

/** What the made code refers to. */
interface Code {
  readonly functions: string[];
  readonly enums: Set<string>[];
  readonly names: Map<readonly FieldShape[], string>;
}

const unfit = new Error('The data does not fit.');

export function compileWriter(shape: ResponseShape): Writer {
  const code: Code = { functions: [], enums: [], names: new Map() };
  const root = objectWriter(code, shape, shape.root);
  const source = `"use strict";\n${tools}\n${code.functions.join('\n')}\n${entry(root)}`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see above: made of names that were parsed
  const make = new Function('unfit', 'enums', 'own', source) as (...given: readonly unknown[]) => Writer;
  return make(unfit, code.enums, ownValue);
}

/** What all writers have in common: places on the tape, and the checks of leaves by their first bytes. */
const tools = `
let tape, b, s, p, end;

function room(count) {
  tape.length = p;
  tape.reserve(count + 1024);
  b = tape.bytes;
  end = b.length;
}

function constant(text) {
  const { length } = text;
  if (p + length > end) room(length);
  for (let i = 0; i < length; i += 1) b[p + i] = text.charCodeAt(i);
  p += length;
}

function long(text) {
  if (p + 3 * text.length > end) room(3 * text.length);
  p += b.utf8Write(text, p);
}

function copy(from, to) {
  const length = to - from;
  if (p + length > end) room(length);
  if (length > 48) b.copyWithin(p, from, to);
  else for (let i = 0; i < length; i += 1) b[p + i] = b[from + i];
  p += length;
}

/** The leaf as it is, of any JSON. */
function any(v) {
  if (typeof v !== 'number') throw unfit;
  copy(s[2 * v], s[2 * v + 1]);
}

function string(v) {
  if (typeof v !== 'number') throw unfit;
  const from = s[2 * v];
  if (b[from] !== 34) throw unfit;
  copy(from, s[2 * v + 1]);
}

function boolean(v) {
  if (typeof v !== 'number') throw unfit;
  const from = s[2 * v];
  if (b[from] !== 116 && b[from] !== 102) throw unfit;
  copy(from, s[2 * v + 1]);
}

/** An integer is an id, too, and keeps its digits. */
function id(v) {
  if (typeof v !== 'number') throw unfit;
  const from = s[2 * v], to = s[2 * v + 1];
  if (b[from] === 34) copy(from, to);
  else {
    if (!areDigits(b[from] === 45 ? from + 1 : from, to)) throw unfit;
    constant('"');
    copy(from, to);
    constant('"');
  }
}

function areDigits(from, to) {
  for (let i = from; i < to; i += 1) if (b[i] < 48 || b[i] > 57) return false;
  return to > from;
}

function int(v) {
  if (typeof v !== 'number') throw unfit;
  const from = s[2 * v], to = s[2 * v + 1];
  const isNegative = b[from] === 45;
  const first = isNegative ? from + 1 : from;
  if (to - first > 10) throw unfit;
  let value = 0;
  for (let i = first; i < to; i += 1) {
    if (b[i] < 48 || b[i] > 57) throw unfit;
    value = value * 10 + b[i] - 48;
  }
  // As text it would be "-0".
  if (value > (isNegative ? 2147483648 : 2147483647) || (isNegative && value === 0)) throw unfit;
  copy(from, to);
}

function float(v) {
  if (typeof v !== 'number') throw unfit;
  const from = s[2 * v], to = s[2 * v + 1];
  if (b[from] !== 45 && (b[from] < 48 || b[from] > 57)) throw unfit;
  if (to - from > 17 && !Number.isFinite(Number(b.latin1Slice(from, to)))) throw unfit;
  for (let i = from; i < to; i += 1)
    if ((b[i] === 101 || b[i] === 69) && !Number.isFinite(Number(b.latin1Slice(from, to)))) throw unfit;
  copy(from, to);
}

function enumerated(v, names) {
  if (typeof v !== 'number') throw unfit;
  const from = s[2 * v], to = s[2 * v + 1];
  if (b[from] !== 34 || !names.has(b.latin1Slice(from + 1, to - 1))) throw unfit;
  copy(from, to);
}
`;

const entry = (root: string): string => `
return (given, data, introspection) => {
  tape = given;
  b = tape.bytes;
  s = tape.spans;
  end = b.length;
  const start = p = tape.length;
  try {
    constant('{"data":');
    ${root}(data, introspection);
    constant('}');
    const answer = Buffer.allocUnsafeSlow(p - start);
    b.copy(answer, 0, start, p);
    return answer;
  } catch (error) {
    if (error === unfit) return undefined;
    throw error;
  } finally {
    given.length = start;
    tape = b = s = undefined;
  }
};`;

/** @returns the name of the function that writes an object with these fields. */
function objectWriter(code: Code, shape: ResponseShape, fields: readonly FieldShape[]): string {
  const known = code.names.get(fields);
  if (known !== undefined) return known;
  const name = `write${code.names.size}`;
  code.names.set(fields, name);
  let pending = '{';
  let body = '';
  fields.forEach((field, index) => {
    const key = `${index === 0 ? '' : ','}${JSON.stringify(field.key)}:`;
    if (field.denial) {
      body += 'throw unfit;\n';
      return;
    }
    if (field.kind === 'typename') {
      if (isObjectType(field.parent)) pending += `${key}${JSON.stringify(field.parent.name)}`;
      else body += 'throw unfit;\n';
      return;
    }
    body += constantWriter(pending + key);
    pending = '';
    if (field.kind === 'introspection') {
      body += `long(JSON.stringify(introspection[${JSON.stringify(field.key)}]));\n`;
      return;
    }
    const quoted = JSON.stringify(field.dataKey);
    body += `{ const v = ${isInherited(field.dataKey) ? `own(object, ${quoted})` : `object[${quoted}]`};\n`;
    body += `${valueWriter(code, shape, field, field.type, 'v')}}\n`;
  });
  code.functions.push(`function ${name}(object, introspection) {\n${body}${constantWriter(`${pending}}`)}}`);
  return name;
}

/** So many bytes are written one by one; names are words, so that each character is one. */
const maxUnrolled = 24;

function constantWriter(text: string): string {
  if (text.length > maxUnrolled) return `constant(${JSON.stringify(text)});\n`;
  const bytes = Array.from(Buffer.from(text), (byte, index) => `b[p + ${index}] = ${byte};`).join(' ');
  return `if (p + ${text.length} > end) room(${text.length});\n${bytes} p += ${text.length};\n`;
}

function valueWriter(code: Code, shape: ResponseShape, field: FieldShape, type: GraphQLOutputType, v: string): string {
  if (isNonNullType(type))
    return `if (${v} === null || ${v} === undefined) throw unfit;\n${presentWriter(code, shape, field, type.ofType, v)}`;
  return `if (${v} === null || ${v} === undefined) constant("null"); else {\n${presentWriter(code, shape, field, type, v)}}\n`;
}

function presentWriter(
  code: Code,
  shape: ResponseShape,
  field: FieldShape,
  type: GraphQLOutputType,
  v: string,
): string {
  if (isListType(type)) {
    const [item, index] = [`${v}i`, `${v}n`];
    return `if (!Array.isArray(${v})) throw unfit;
${constantWriter('[')}for (let ${index} = 0; ${index} < ${v}.length; ${index} += 1) {
if (${index} > 0) { ${constantWriter(',')} }
const ${item} = ${v}[${index}];
${valueWriter(code, shape, field, type.ofType, item)}}
${constantWriter(']')}`;
  }
  if (isLeafType(type)) return leafWriter(code, type, v);
  const declared = type as ShapeType;
  const write = (actual: ShapeType): string =>
    `${objectWriter(code, shape, shape.fieldsOf(field, actual))}(${v}, introspection);`;
  const isNoObject = `if (typeof ${v} !== "object" || Array.isArray(${v})) throw unfit;\n`;
  if (!isAbstractType(declared))
    return `${isNoObject}if (${v}.__typename !== undefined && ${v}.__typename !== ${JSON.stringify(declared.name)}) throw unfit;\n${write(declared)}\n`;
  const cases = shape.schema
    .getPossibleTypes(declared)
    .map((actual) => `case ${JSON.stringify(actual.name)}: ${write(actual)} break;`);
  if (!dependsOnType(shape, field, declared))
    cases.push(`case ${JSON.stringify(declared.name)}: case undefined: ${write(declared)} break;`);
  return `${isNoObject}switch (${v}.__typename) {\n${cases.join('\n')}\ndefault: throw unfit;\n}\n`;
}

function leafWriter(code: Code, type: GraphQLLeafType, v: string): string {
  if (isEnumType(type)) {
    const known = code.enums.push(new Set(type.getValues().map(({ name }) => name))) - 1;
    return `enumerated(${v}, enums[${known}]);\n`;
  }
  const writer = new Map([
    ['String', 'string'],
    ['ID', 'id'],
    ['Int', 'int'],
    ['Float', 'float'],
    ['Boolean', 'boolean'],
  ]).get(type.name);
  return `${writer ?? 'any'}(${v});\n`;
}

function ownValue(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
