/** Pages of webhooks and of deliveries, newest first: cursors are (time of creation, id). */
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
import { isPossibleId } from '../command/command-input.js';
import type { Delivery, DeliveryStatus } from './delivery/delivery.js';
import { listDeliveries } from './delivery/delivery-rows.js';
import type { Webhook } from './webhook.js';
import { listWebhooks } from './webhook-rows.js';

/** `DeliveryFilter` as GraphQL gives it. */
export interface DeliveryFilter {
  readonly webhookId?: string | null;
  readonly status?: readonly DeliveryStatus[] | null;
  readonly eventId?: string | null;
}

/** A page of the tenant's webhooks. @throws FleetgraphError BAD_USER_INPUT with the argument at fault. */
export async function pageOfWebhooks(sql: Sql, tenant: string, args: PageArguments): Promise<Connection<Webhook>> {
  const { order, size, after } = readPage('webhooks:newest', args);
  return page(order, size, args, await listWebhooks(sql, tenant, { limit: size + 1, after }));
}

/** A page of the tenant's deliveries. @throws FleetgraphError BAD_USER_INPUT with the argument at fault. */
export async function pageOfDeliveries(
  sql: Sql,
  tenant: string,
  args: PageArguments & { readonly filter?: DeliveryFilter | null },
): Promise<Connection<Delivery>> {
  const { order, size, after } = readPage('deliveries:newest', args);
  const webhookId = given(args.filter?.webhookId, 'filter.webhookId');
  const eventId = given(args.filter?.eventId, 'filter.eventId');
  const statuses = args.filter?.status ?? undefined;
  return page(
    order,
    size,
    args,
    await listDeliveries(sql, tenant, { limit: size + 1, after, webhookId, eventId, statuses }),
  );
}

function readPage(order: string, args: PageArguments) {
  return { order, size: pageSize(args), after: readCursor(order, args.after) };
}

function page<Node extends { readonly createdAt: Date; readonly id: string }>(
  order: string,
  size: number,
  args: PageArguments,
  rows: readonly Node[],
): Connection<Node> {
  return toConnection(rows, size, args, ({ createdAt, id }) => encodeCursor(order, [createdAt.getTime(), id]));
}

function readCursor(order: string, cursor: string | null | undefined) {
  const key = decodeCursor(order, cursor, 2);
  if (key === undefined) return undefined;
  const [time = '', id = ''] = key;
  // The text of a cursor is the client's: only what we could have written reaches the database.
  if (!/^\d{1,13}$/.test(time) || !isPossibleId(id)) {
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The cursor is damaged. Take it from "pageInfo.endCursor", unchanged.',
      {
        field: 'after',
      },
    );
  }
  return { createdAtMs: Number(time), id };
}

function given(value: string | null | undefined, field: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  assertStorableText(value, field);
  if (isPossibleId(value)) return value;
  throw new FleetgraphError('BAD_USER_INPUT', `${field} must be 1 to 128 characters.`, { field });
}
