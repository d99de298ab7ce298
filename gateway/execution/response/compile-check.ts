/**
 * Checks whether JSON is the completed answer already: exactly the requested fields, in their
 * order, each with a value of its type (GraphQL specification, 6.4.3 and 7.2.2). As in
 * `compile-writer.ts`, one function is generated for each object of the response shape. It reads
 * the bytes and does not parse them.
 * Invariant: JSON that passes equals its completion. JSON that does not pass has to be completed.
 */
import {
  isAbstractType,
  isEnumType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  type GraphQLLeafType,
  type GraphQLOutputType,
} from 'graphql';
import { endOfFloat, endOfInt, endOfString, endOfValue, follows } from './json-scanner.js';
import type { FieldShape, ResponseShape, ShapeType } from './response-shape.js';

/** @returns the position after the data at the position; -1 if it does not fit. */
export type Check = (json: Buffer, at: number) => number;

/** What the made code refers to. */
interface Code {
  readonly functions: string[];
  readonly texts: Buffer[];
  readonly enums: Set<string>[];
  readonly names: Map<readonly FieldShape[], string>;
}

const typenameMember = Buffer.from('"__typename":"');
const scanners = { follows, endOfString, endOfInt, endOfFloat, endOfValue, endOfEnum, typenameAt };

export function compileCheck(shape: ResponseShape): Check {
  const code: Code = { functions: [], texts: [], enums: [], names: new Map() };
  const root = objectCheck(code, shape, shape.root);
  const source = `"use strict";\nconst { ${Object.keys(scanners).join(', ')} } = scanners;
${code.functions.join('\n')}\nreturn ${root};`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- made of names that were parsed
  const make = new Function('scanners', 'texts', 'enums', source) as (...given: readonly unknown[]) => Check;
  return make(scanners, code.texts, code.enums);
}

/** @returns the name of the function that checks an object with these fields. */
function objectCheck(code: Code, shape: ResponseShape, fields: readonly FieldShape[]): string {
  const known = code.names.get(fields);
  if (known !== undefined) return known;
  const name = `check${code.names.size}`;
  code.names.set(fields, name);
  let pending = '{';
  let body = '';
  fields.forEach((field, index) => {
    pending += `${index === 0 ? '' : ','}${JSON.stringify(field.key)}:`;
    if (field.denial || field.dataKey !== field.key || field.kind === 'introspection') body += misfit;
    else if (field.kind === 'data') {
      body += textCheck(code, pending) + valueCheck(code, shape, field, field.type);
      pending = '';
    } else if (isObjectType(field.parent)) pending += JSON.stringify(field.parent.name);
    else body += misfit;
  });
  code.functions.push(`function ${name}(json, at) {\n${body}${textCheck(code, `${pending}}`)}return at;\n}`);
  return name;
}

const misfit = 'return -1;\n';

function textCheck(code: Code, text: string): string {
  const index = code.texts.push(Buffer.from(text)) - 1;
  return `if (!follows(json, at, texts[${index}])) return -1;\nat += ${Buffer.byteLength(text)};\n`;
}

function valueCheck(code: Code, shape: ResponseShape, field: FieldShape, type: GraphQLOutputType): string {
  if (isNonNullType(type)) return presentCheck(code, shape, field, type.ofType as GraphQLOutputType);
  // Nothing else that fits begins with the letter n.
  return `if (json[at] === 110) {\n${textCheck(code, 'null')}} else {\n${presentCheck(code, shape, field, type)}}\n`;
}

function presentCheck(code: Code, shape: ResponseShape, field: FieldShape, type: GraphQLOutputType): string {
  if (isListType(type))
    return `if (json[at] !== 91) return -1;
if (json[at + 1] === 93) at += 2;
else {
do {
at += 1;
${valueCheck(code, shape, field, type.ofType)}} while (json[at] === 44);
if (json[at] !== 93) return -1;
at += 1;
}
`;
  if (isLeafType(type)) return leafCheck(code, type);
  const declared = type as ShapeType;
  const check = (actual: ShapeType): string =>
    `at = ${objectCheck(code, shape, shape.fieldsOf(field, actual))}(json, at);`;
  if (!isAbstractType(declared)) return `${check(declared)}\nif (at === -1) return -1;\n`;
  const possible = shape.schema.getPossibleTypes(declared);
  const cases = possible.map((actual) => `case ${JSON.stringify(actual.name)}: ${check(actual)} break;`);
  const keys = keysOf(shape.fieldsOf(field, declared));
  // Without its type an object is known to fit only if the same is asked for of all types.
  if (isInterfaceType(declared) && possible.every((actual) => keysOf(shape.fieldsOf(field, actual)) === keys))
    cases.push(`case undefined: ${check(declared)} break;`);
  return `switch (typenameAt(json, at)) {\n${cases.join('\n')}\ndefault: return -1;\n}\nif (at === -1) return -1;\n`;
}

function keysOf(fields: readonly FieldShape[]): string {
  return fields.map(({ key }) => key).join(' ');
}

function leafCheck(code: Code, type: GraphQLLeafType): string {
  const scan = (call: string): string => `at = ${call};\nif (at === -1) return -1;\n`;
  if (isEnumType(type)) {
    const index = code.enums.push(new Set(type.getValues().map(({ name }) => name))) - 1;
    return scan(`endOfEnum(json, at, enums[${index}])`);
  }
  switch (type.name) {
    case 'String':
    case 'ID':
      return scan('endOfString(json, at)');
    case 'Int':
      return scan('endOfInt(json, at)');
    case 'Float':
      return scan('endOfFloat(json, at)');
    case 'Boolean':
      return `if (json[at] === 116) {\n${textCheck(code, 'true')}} else {\n${textCheck(code, 'false')}}\n`;
    default:
      return scan('endOfValue(json, at)');
  }
}

function endOfEnum(json: Buffer, at: number, values: ReadonlySet<string>): number {
  const end = endOfString(json, at);
  return end !== -1 && values.has(json.toString('latin1', at + 1, end - 1)) ? end : -1;
}

/** What the object at the position says that it is; undefined if it says nothing. */
function typenameAt(json: Buffer, at: number): string | undefined {
  if (json[at] !== 123) return undefined;
  let next = at;
  do {
    next += 1;
    const end = endOfString(json, next);
    if (end === -1) return undefined;
    if (follows(json, next, typenameMember)) {
      const start = next + typenameMember.length;
      const after = endOfString(json, start - 1);
      return after === -1 ? undefined : json.toString('latin1', start, after - 1);
    }
    next = endOfValue(json, end + 1);
  } while (next !== -1 && json[next] === 44);
  return undefined;
}
