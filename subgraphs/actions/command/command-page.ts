/** Pages of commands, newest first: cursors are (time of creation, id), so that new commands in front do not move a page. */
import type { Sql } from '../../../platform/database/sql.js';
import { assertStorableText } from '../../../platform/database/storable.js';
import { FleetgraphError } from '../../../platform/errors.js';
import {
  decodeCursor,
  encodeCursor,
  pageSize,
  toConnection,
  type Connection,
  type PageArguments,
} from '../../../platform/graphql/page.js';
import type { Command, CommandStatus } from './command.js';
import { isPossibleId } from './command-input.js';
import { listCommands, type CommandQuery } from './command-rows.js';

/** `CommandFilter` as GraphQL gives it. */
export interface CommandFilter {
  readonly deviceId?: string | null;
  readonly status?: readonly CommandStatus[] | null;
  readonly name?: string | null;
  readonly jobId?: string | null;
}

const order = 'commands:newest';
/** The end of the year 9999: what a cursor of ours never passes. */
const latestMs = 253_402_300_799_999;

/** A page of the tenant's commands. @throws FleetgraphError BAD_USER_INPUT with the argument at fault. */
export async function pageOfCommands(
  sql: Sql,
  tenant: string,
  args: PageArguments & { readonly filter?: CommandFilter | null },
): Promise<Connection<Command>> {
  const { filter } = args;
  const query = queryOf(args, filter?.status);
  const deviceId = given(filter?.deviceId, 'filter.deviceId');
  const name = given(filter?.name, 'filter.name');
  const jobId = given(filter?.jobId, 'filter.jobId');
  return pageOf(await listCommands(sql, tenant, { ...query, deviceId, name, jobId }), query, args);
}

/** What to ask for: one row more than the page has, to know whether there is a next. @throws FleetgraphError BAD_USER_INPUT. */
export function queryOf(page: PageArguments, statuses?: readonly CommandStatus[] | null): CommandQuery {
  return { limit: pageSize(page) + 1, after: readCursor(page.after), statuses: statuses ?? undefined };
}

/** The page from the rows that `query` found. */
export function pageOf(rows: readonly Command[], query: CommandQuery, page: PageArguments): Connection<Command> {
  return toConnection(rows, query.limit - 1, page, cursorOf);
}

/** Where something that was made is in a list of them, newest first. */
export function cursorOf({ createdAt, id }: { readonly createdAt: Date; readonly id: string }): string {
  return encodeCursor(order, [createdAt.getTime(), id]);
}

function readCursor(cursor: string | null | undefined): CommandQuery['after'] {
  const key = decodeCursor(order, cursor, 2);
  if (key === undefined) return undefined;
  const [time = '', id = ''] = key;
  const createdAtMs = /^\d{1,15}$/.test(time) ? Number(time) : NaN;
  // The text of a cursor is the client's: only what we could have written reaches the database.
  if (!(createdAtMs <= latestMs) || !isPossibleId(id)) {
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The cursor is damaged. Take it from "pageInfo.endCursor", unchanged.',
      {
        field: 'after',
      },
    );
  }
  return { createdAtMs, id };
}

function given(value: string | null | undefined, field: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  assertStorableText(value, field);
  if (isPossibleId(value)) return value;
  throw new FleetgraphError('BAD_USER_INPUT', `${field} must be 1 to 128 characters.`, { field });
}
