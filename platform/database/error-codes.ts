import { codeOf } from '../errors.js';

/** Prisma has no code of its own for most SQLSTATEs: it names them in the message alone. */
const sqlStateInMessage = /\bCode: `([0-9A-Z]{5})`/;

/** How far a chain of causes is followed. */
const maxDepth = 5;

/** The error and its causes, outermost first. */
export function* causesOf(error: unknown): Generator {
  for (let cause = error, depth = 0; cause !== undefined && cause !== null && depth < maxDepth; depth += 1) {
    yield cause;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
}

/** Codes of one error: SQLSTATE, code of Node.js or of Prisma, and the SQLSTATE that Prisma names in its message. */
export function codesOf(error: unknown): readonly string[] {
  const named = error instanceof Error ? sqlStateInMessage.exec(error.message)?.[1] : undefined;
  return [codeOf(error), named].filter((code) => code !== undefined);
}
