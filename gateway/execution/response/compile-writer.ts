/**
 * The answer as JSON text, straight from what the subgraphs gave: a function is made for each object of the operation's shape
 * that writes its fields one after the other. It knows nothing of failures. Whatever doesn't fit makes it give up, and
 * `complete.ts` takes over, which knows all of them; so this can be as plain, and as fast, as it is.
 * Text that is made into code is names of the schema and of the operation alone, which are words, and written as JSON.
 */
import {
  isAbstractType,
  isEnumType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
  type GraphQLLeafType,
  type GraphQLOutputType,
} from 'graphql';
import { isInherited, quote, type JsonObject } from '../json.js';
import type { FieldShape, ResponseShape, ShapeType } from './response-shape.js';

/** @returns the text; undefined if something in the data doesn't fit. */
export type Writer = (data: JsonObject, introspection: JsonObject) => string | undefined;

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
  const source = `"use strict";\n${code.functions.join('\n')}\nreturn ${root};`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see above: made of names that were parsed
  const make = new Function('unfit', 'quote', 'enums', 'json', 'own', source) as (
    ...given: readonly unknown[]
  ) => (data: JsonObject, introspection: JsonObject) => string;
  const write = make(unfit, quote, code.enums, JSON.stringify, ownValue);
  return (data, introspection) => {
    try {
      return write(data, introspection);
    } catch (error) {
      if (error === unfit) return undefined;
      throw error;
    }
  };
}

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
    body += `text += ${JSON.stringify(pending + key)};\n`;
    pending = '';
    if (field.kind === 'introspection') {
      body += `text += json(introspection[${JSON.stringify(field.key)}]);\n`;
      return;
    }
    const quoted = JSON.stringify(field.dataKey);
    body += `{ const v = ${isInherited(field.dataKey) ? `own(object, ${quoted})` : `object[${quoted}]`};\n`;
    body += `${valueWriter(code, shape, field, field.type, 'v')}}\n`;
  });
  code.functions.push(
    `function ${name}(object, introspection) { let text = "";\n${body}return text + ${JSON.stringify(`${pending}}`)}; }`,
  );
  return name;
}

function valueWriter(code: Code, shape: ResponseShape, field: FieldShape, type: GraphQLOutputType, v: string): string {
  if (isNonNullType(type))
    return `if (${v} === null || ${v} === undefined) throw unfit;\n${presentWriter(code, shape, field, type.ofType, v)}`;
  return `if (${v} === null || ${v} === undefined) text += "null"; else {\n${presentWriter(code, shape, field, type, v)}}\n`;
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
text += "[";
for (let ${index} = 0; ${index} < ${v}.length; ${index} += 1) {
if (${index} > 0) text += ",";
const ${item} = ${v}[${index}];
${valueWriter(code, shape, field, type.ofType, item)}}
text += "]";
`;
  }
  if (isLeafType(type)) return leafWriter(code, type, v);
  const declared = type as ShapeType;
  const write = (actual: ShapeType): string =>
    `text += ${objectWriter(code, shape, shape.fieldsOf(field, actual))}(${v}, introspection);`;
  const isNoObject = `if (typeof ${v} !== "object" || Array.isArray(${v})) throw unfit;\n`;
  if (!isAbstractType(declared))
    return `${isNoObject}if (${v}.__typename !== undefined && ${v}.__typename !== ${JSON.stringify(declared.name)}) throw unfit;\n${write(declared)}\n`;
  const cases = shape.schema
    .getPossibleTypes(declared)
    .map((actual) => `case ${JSON.stringify(actual.name)}: ${write(actual)} break;`);
  if (!isUnionType(declared))
    cases.push(`case ${JSON.stringify(declared.name)}: case undefined: ${write(declared)} break;`);
  return `${isNoObject}switch (${v}.__typename) {\n${cases.join('\n')}\ndefault: throw unfit;\n}\n`;
}

function leafWriter(code: Code, type: GraphQLLeafType, v: string): string {
  if (isEnumType(type)) {
    const known = code.enums.push(new Set(type.getValues().map(({ name }) => name))) - 1;
    return `if (!enums[${known}].has(${v})) throw unfit; text += '"' + ${v} + '"';\n`;
  }
  switch (type.name) {
    case 'String':
      return `if (typeof ${v} !== "string") throw unfit; text += quote(${v});\n`;
    case 'ID':
      return `if (typeof ${v} === "string") text += quote(${v}); else if (Number.isInteger(${v})) text += '"' + ${v} + '"'; else throw unfit;\n`;
    case 'Int':
      return `if ((${v} | 0) !== ${v}) throw unfit; text += ${v};\n`;
    case 'Float':
      return `if (!Number.isFinite(${v})) throw unfit; text += ${v};\n`;
    case 'Boolean':
      return `if (${v} === true) text += "true"; else if (${v} === false) text += "false"; else throw unfit;\n`;
    default:
      return `text += json(${v});\n`;
  }
}

function ownValue(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
