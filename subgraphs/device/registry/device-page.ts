/** The list of devices: filters, four orders, keyset pages. */
import type { Sql } from '../../../platform/database/sql.js';
import {
  decodeCursor,
  encodeCursor,
  pageSize,
  toConnection,
  type Connection,
  type PageArguments,
} from '../../../platform/graphql/page.js';
import { readFilterId } from '../../../platform/graphql/filter-id.js';
import { readSelector, selectorConditions, type SelectorColumns } from '../../../backbone/devices/label-selector.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { Device } from './device.js';
import { deviceColumns, toDevice, type DeviceRow } from './device-rows.js';
import { isStorableText } from '../../../platform/database/storable.js';

export interface DeviceFilter {
  readonly search?: string | null;
  readonly typeId?: string | null;
  readonly status?: Device['status'] | null;
  readonly labels?: readonly { readonly key: string; readonly value: string }[] | null;
  readonly online?: boolean | null;
  /** `DeviceSelector` as GraphQL gives it. */
  readonly selector?: unknown;
}

export interface DevicePageArguments extends PageArguments {
  readonly filter?: DeviceFilter | null;
  readonly orderBy?: keyof typeof orders | null;
}

/** The sort key as text, exact to the microsecond where it is a time, so that a cursor can hold it. */
const orders = {
  NAME: { key: 'd.name', column: 'd.name', cast: 'text', compare: '>', direction: 'ASC' },
  NAME_DESC: { key: 'd.name', column: 'd.name', cast: 'text', compare: '<', direction: 'DESC' },
  CREATED_AT: {
    key: 'd.created_at::text',
    column: 'd.created_at',
    cast: 'timestamptz',
    compare: '>',
    direction: 'ASC',
  },
  CREATED_AT_DESC: {
    key: 'd.created_at::text',
    column: 'd.created_at',
    cast: 'timestamptz',
    compare: '<',
    direction: 'DESC',
  },
} as const;

/** A device with its place in the order asked for. */
type Listed = Device & { readonly sortKey: string };

export type DeviceConnection = Connection<Device> & { readonly totalCount: () => Promise<number> };

/** A page of the tenant's devices. The total is counted only when `totalCount` is called. */
export async function pageOfDevices(sql: Sql, tenant: string, args: DevicePageArguments): Promise<DeviceConnection> {
  const order = args.orderBy ?? 'NAME';
  const { key, column, cast, compare, direction } = orders[order];
  const size = pageSize(args);
  const after = decodeCursor(order, args.after, 2);
  const { where, parameters } = conditions(tenant, args.filter ?? {});
  const from = parameters.length;
  const behind = after ? `AND (${column}, d.id) ${compare} ($${from + 1}::${cast}, $${from + 2}::text)` : '';
  const rows = await sql
    .query<DeviceRow & { sort_key: string }>(
      `SELECT ${deviceColumns}, ${key} AS sort_key FROM device.devices d WHERE ${where} ${behind}
       ORDER BY ${column} ${direction}, d.id ${direction} LIMIT ${size + 1}`,
      [...parameters, ...(after ?? [])],
    )
    .catch((error: unknown) => {
      // 22007, 22008: a cursor that is ours in form but holds no time.
      if (after && /^2200[78]$/.test(String((error as { code?: unknown }).code)))
        throw new FleetgraphError(
          'BAD_USER_INPUT',
          'The cursor is not one of this list. Take it from "pageInfo.endCursor".',
          { field: 'after', cause: error },
        );
      throw error;
    });
  const listed = rows.map((row): Listed => ({ ...toDevice(row), sortKey: row.sort_key }));
  return {
    ...toConnection(listed, size, args, (device) => encodeCursor(order, [device.sortKey, device.id])),
    totalCount: () => countDevices(sql, where, parameters),
  };
}

async function countDevices(sql: Sql, where: string, parameters: readonly unknown[]): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM device.devices d WHERE ${where}`,
    parameters,
  );
  return row?.count ?? 0;
}

/** What selectors look at, in the tables of the registry. */
const selectorColumns: SelectorColumns = {
  id: 'd.id',
  typeId: 'd.type_id',
  hasLabel: (key, values) =>
    `EXISTS (SELECT 1 FROM device.device_labels l WHERE l.device_id = d.id AND l.tenant = d.tenant AND l.key = ${key}${
      values === undefined ? '' : ` AND l.value = ANY(${values})`
    })`,
};

function conditions(tenant: string, filter: DeviceFilter): { where: string; parameters: unknown[] } {
  const parameters: unknown[] = [tenant];
  const all = ['d.tenant = $1::text'];
  const add = (value: unknown, condition: (place: string) => string): void => {
    parameters.push(value);
    all.push(condition(`$${parameters.length}`));
  };
  readFilterId(filter.typeId, 'filter.typeId');
  // What can't be stored is nowhere: asking PostgreSQL for it would be an error.
  const texts = [filter.search, filter.typeId, ...(filter.labels ?? []).flatMap(({ key, value }) => [key, value])];
  if (texts.some((text) => typeof text === 'string' && !isStorableText(text))) all.push('false');
  else {
    if (filter.search)
      add(`%${filter.search.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`, (place) => `d.name ILIKE ${place}::text`);
    if (typeof filter.typeId === 'string') add(filter.typeId, (place) => `d.type_id = ${place}::text`);
    for (const { key, value } of filter.labels ?? []) {
      add(key, (keyPlace) => {
        parameters.push(value);
        return `EXISTS (SELECT 1 FROM device.device_labels l WHERE l.device_id = d.id AND l.tenant = d.tenant AND l.key = ${keyPlace}::text AND l.value = $${parameters.length}::text)`;
      });
    }
  }
  if (filter.status) add(filter.status, (place) => `d.status = ${place}::device.device_status`);
  if (typeof filter.online === 'boolean') add(filter.online, (place) => `d.online = ${place}::boolean`);
  if (filter.selector !== null && filter.selector !== undefined) {
    const place = (value: unknown): string => `$${parameters.push(value)}`;
    all.push(...selectorConditions(readSelector(filter.selector, 'filter.selector'), selectorColumns, place));
  }
  return { where: all.join(' AND '), parameters };
}
