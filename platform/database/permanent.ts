import { causesOf, codesOf } from './error-codes.js';

/**
 * SQLSTATEs of values that no repetition stores (PostgreSQL, appendix A): 21 cardinality violation, 22 data
 * exception, 23502 not null, 54 program limit exceeded. Not 23503 and 23505, which other rows decide.
 */
const sqlState = /^(21...|22...|23502|54...)$/;

/** A value breaks a check constraint. PostgreSQL has the same code for a row without a partition. */
const checkViolation = '23514';

/** Prisma: value too long, null, out of range, beyond 64 bits (https://pris.ly/d/error-reference). */
const prisma = new Set(['P2000', 'P2011', 'P2020', 'P2033']);

/** Whether the same call fails in the same way each time, because of the values that it has. */
export function isPermanentDatabaseError(error: unknown): boolean {
  for (const cause of causesOf(error)) {
    const codes = codesOf(cause);
    if (codes.some((code) => sqlState.test(code) || prisma.has(code))) return true;
    if (codes.includes(checkViolation) && namesConstraint(cause)) return true;
  }
  return false;
}

/** `constraint` of the driver's error; a partition that is missing, and made by the next attempt, has none. */
function namesConstraint(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'constraint' in error && error.constraint !== undefined;
}
