/** The resolvers of dead letters. */
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import {
  decodeCursor,
  encodeCursor,
  pageSize,
  toConnection,
  type Connection,
  type PageArguments,
} from '../../../platform/graphql/page.js';
import {
  isDeadLetterId,
  readDeadLettersInput,
  readFilter,
  type DeadLetterFilter,
  type DeadLettersInput,
} from './dead-letter-input.js';
import type { DeadLetterMutations, DeadLettersReply } from './dead-letter-mutations.js';
import {
  countCauses,
  findDeadLetter,
  listDeadLetters,
  type DeadLetter,
  type DeadLetterCause,
} from './dead-letter-rows.js';

export type DeadLetterResolvers = ReturnType<typeof createDeadLetterResolvers>;

const order = 'dead-letters:newest';
const maxCauses = 200;

export function createDeadLetterResolvers({ sql, mutations }: { sql: Sql; mutations: DeadLetterMutations }) {
  return {
    Query: {
      deadLetter: async (
        _: unknown,
        { id }: { id: string },
        { identity }: RequestContext,
      ): Promise<DeadLetter | null> =>
        isDeadLetterId(id) ? ((await findDeadLetter(sql, identity.tenant, id)) ?? null) : null,
      async deadLetters(
        _: unknown,
        args: PageArguments & { filter?: DeadLetterFilter | null },
        { identity }: RequestContext,
      ): Promise<Connection<DeadLetter>> {
        const size = pageSize(args);
        const selection = { ...readFilter(args.filter, 'filter'), limit: size + 1, after: readCursor(args.after) };
        const rows = await listDeadLetters(sql, identity.tenant, selection);
        return toConnection(rows, size, args, ({ failedAtUs, id }) => encodeCursor(order, [failedAtUs, id]));
      },
      deadLetterCauses: (_: unknown, __: unknown, { identity }: RequestContext): Promise<readonly DeadLetterCause[]> =>
        countCauses(sql, identity.tenant, maxCauses),
    },
    Mutation: {
      replayDeadLetters: (
        _: unknown,
        { input }: { input: DeadLettersInput },
        context: RequestContext,
      ): Promise<DeadLettersReply> => mutations.replay(context, readDeadLettersInput(input)),
      discardDeadLetters: (
        _: unknown,
        { input }: { input: DeadLettersInput },
        context: RequestContext,
      ): Promise<DeadLettersReply> => mutations.discard(context, readDeadLettersInput(input)),
    },
    DeadLetter: {
      offset: ({ offset }: DeadLetter): string => offset.toString(),
      payload: ({ value }: DeadLetter): string => value,
    },
  };
}

function readCursor(cursor: string | null | undefined) {
  const key = decodeCursor(order, cursor, 2);
  if (key === undefined) return undefined;
  const [failedAtUs = '', id = ''] = key;
  if (!/^\d{1,17}$/.test(failedAtUs) || !isDeadLetterId(id))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The cursor is damaged. Take it from "pageInfo.endCursor", unchanged.',
      {
        field: 'after',
      },
    );
  return { failedAtUs, id };
}
