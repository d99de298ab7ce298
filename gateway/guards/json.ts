/**
 * JSON from clients. A text that is nested without end costs many times its length when it is parsed, and whoever walks over it
 * by recursion dies of it; a member named `__proto__` changes the prototype of whatever it is copied into. Both are refused
 * before anything is made of them. Numbers keep their digits (platform/json/exact-json.ts).
 */
import { FleetgraphError, messageOf } from '../../platform/errors.js';
import { parseExactJson } from '../../platform/json/exact-json.js';
import { isReservedMember, reservedMemberFault } from './reserved-members.js';

export type ParseJson = (text: string, what: string) => unknown;

/** @param maxDepth of objects and arrays in each other */
export function createJsonParser(maxDepth: number): ParseJson {
  return (text, what) => {
    if (isDeeperThan(text, maxDepth))
      throw new FleetgraphError('BAD_USER_INPUT', `${what} is nested more than ${maxDepth} levels deep. Flatten it.`);
    let value: unknown;
    try {
      value = parseExactJson(text);
    } catch (error) {
      throw new FleetgraphError('BAD_USER_INPUT', `${what} is not JSON: ${messageOf(error).slice(0, 100)}`, {
        cause: error,
      });
    }
    // Names may be written with escapes: then it takes a look at all of them.
    if (/__proto__|constructor|\\u/.test(text)) refuseReservedNames(value, what);
    return value;
  };
}

const [quote, backslash, openBrace, openBracket, closeBrace, closeBracket] = [0x22, 0x5c, 0x7b, 0x5b, 0x7d, 0x5d];

function isDeeperThan(text: string, max: number): boolean {
  // As many brackets as it would take are seldom there at all.
  if (text.length <= max) return false;
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === quote) {
      for (index += 1; index < text.length; index += 1) {
        const inside = text.charCodeAt(index);
        if (inside === backslash) index += 1;
        else if (inside === quote) break;
      }
    } else if (code === openBrace || code === openBracket) {
      depth += 1;
      if (depth > max) return true;
    } else if (code === closeBrace || code === closeBracket) depth -= 1;
  }
  return false;
}

/** Recursion is safe: the depth is known to be bounded. */
function refuseReservedNames(value: unknown, what: string): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (!Array.isArray(value) && isReservedMember(name, hasPrototype(member)))
      throw new FleetgraphError('BAD_USER_INPUT', reservedMemberFault(what, name));
    refuseReservedNames(member, what);
  }
}

function hasPrototype(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype');
}
