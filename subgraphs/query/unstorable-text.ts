/**
 * Text that PostgreSQL can't hold, such as a NUL, in an argument: nothing can match it, and the client must hear that it
 * is the argument's fault, not ours. Done where all statements pass, so that no argument is forgotten.
 */
import type { Sql } from '../../platform/database/sql.js';
import { codeOf, FleetgraphError } from '../../platform/errors.js';

/** character_not_in_repertoire, untranslatable_character (PostgreSQL, appendix A). */
const unstorable = new Set(['22021', '22P05']);

/** The same statements; text that can't be stored is BAD_USER_INPUT. */
export function refuseUnstorableText(sql: Sql): Sql {
  return {
    async query<Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]> {
      try {
        return await sql.query<Row>(text, parameters);
      } catch (error) {
        if (!unstorable.has(codeOf(error) ?? '')) throw error;
        throw new FleetgraphError(
          'BAD_USER_INPUT',
          'An argument holds a character that text can not have, such as NUL.',
          {
            cause: error,
          },
        );
      }
    },
  };
}
