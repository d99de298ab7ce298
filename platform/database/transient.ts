import { causesOf, codesOf } from './error-codes.js';

/** Node.js errors of a server that is away. */
const network = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
]);

/** SQLSTATEs that are not the statement's fault: 40001, 40P01, 55P03, 57P01-57P03, 53300 … (PostgreSQL, appendix A). */
const sqlState = /^(08...|53...|57P0.|40001|40P01|55P03|25P03|58...)$/;

/** Prisma: can't reach, timed out, server closed, pool timeout, write conflict (https://pris.ly/d/error-reference). */
const prisma = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2034']);

/** `query_timeout` has passed without an answer; the driver gives it no code. */
export function isReadTimeout(error: unknown): error is Error {
  return error instanceof Error && error.message === 'Query read timeout';
}

/** Whether the same call may succeed later: the database is away or busy, nothing is wrong with what was asked. */
export function isTransientDatabaseError(error: unknown): boolean {
  for (const cause of causesOf(error)) {
    if (codesOf(cause).some((code) => network.has(code) || sqlState.test(code) || prisma.has(code))) return true;
    if (isReadTimeout(cause)) return true;
    if (
      cause instanceof Error &&
      /connection terminated|^timeout expired$|timeout exceeded when trying to connect|client has encountered a connection error|server closed the connection/i.test(
        cause.message,
      )
    )
      return true;
  }
  return false;
}
