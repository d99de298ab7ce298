/**
 * Joins an entity that a subgraph gave into the object that it belongs to, as `merge.ts` joins any two
 * objects: a function is made that knows the names. Text that is made into code is response names alone,
 * which are words, and written as JSON.
 */
import { isInherited, type JsonObject } from '../json.js';
import { merge, mergeInto, type AbstractTypes } from './merge.js';
import type { AnswerField } from '../tape/answer-shape.js';

export type Join = (target: JsonObject, source: JsonObject) => void;

/** @param fields of the entity, all that it can have */
export function compileJoin(fields: readonly AnswerField[], abstractTypes: AbstractTypes): Join {
  if (fields.some(({ name }) => isInherited(name))) return (target, source) => merge(target, source, abstractTypes);
  let made: Join | undefined;
  return (target, source) => (made ??= make(fields, abstractTypes))(target, source);
}

function make(fields: readonly AnswerField[], abstractTypes: AbstractTypes): Join {
  const members = fields.map(({ name, fields: inner }) => {
    const member = `[${JSON.stringify(name)}]`;
    const given = `if ((v = s${member}) !== undefined`;
    if (name === '__typename')
      return `${given} && (t${member} === undefined || !abstractTypes.has(v))) t${member} = v;`;
    if (!inner) return `${given}) t${member} = v;`;
    return `${given}) { const k = t${member}; if (v === null || k === undefined || k === v || !mergeInto(k, v, abstractTypes)) t${member} = v; }`;
  });
  const source = `"use strict";\nreturn (t, s) => { let v;\n${members.join('\n')}\n};`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see above: made of names that were parsed
  return (new Function('mergeInto', 'abstractTypes', source) as (...given: readonly unknown[]) => Join)(
    mergeInto,
    abstractTypes,
  );
}
