/**
 * Members of objects whose names change what they are copied into. Refused in the same words in JSON (json.ts) and in literals
 * (literal-values.ts).
 */

/** @param hasPrototype whether the member is an object with a member `prototype` */
export function isReservedMember(name: string, hasPrototype: boolean): boolean {
  return name === '__proto__' || (name === 'constructor' && hasPrototype);
}

/** @param what has the member. */
export function reservedMemberFault(what: string, name: string): string {
  return `${what} has a member "${name}", a name that is reserved. Name it otherwise.`;
}
