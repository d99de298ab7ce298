/** The subscriptions of devices: `deviceState`, `deviceStates`, `telemetry`. All are made of the changes of entity `device`. */
import type { Change } from '../../../backbone/changes/change.js';
import { toMillis, toMicros } from '../../../backbone/changes/time-series.js';
import {
  labelsInJson,
  readSelector,
  selectorConditions,
  selectorMatcherById,
  type DeviceSelector,
} from '../../../backbone/devices/label-selector.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { readFilterId } from '../../../platform/graphql/filter-id.js';
import { requireDevice } from '../consistency/existence.js';
import { readMetricNames } from '../metric-name.js';
import {
  deviceStateColumns,
  unheardOf,
  viewOfChange,
  viewOfRow,
  type DeviceStateRow,
  type DeviceView,
} from '../state/device-state.js';
import { createBoundedChanges, createConflatingChanges } from './pending-changes.js';
import type { SnapshotPage } from './catch-up.js';
import { createStream, type LiveOptions, type Stream } from './stream.js';

/** Payload of `deviceState` and `deviceStates`. */
export interface DeviceStateUpdate extends DeviceView {
  readonly snapshot: boolean;
  readonly device: { readonly id: string };
}

/** Payload of `telemetry`. */
export interface TelemetryUpdate {
  readonly snapshot: boolean;
  readonly device: { readonly id: string };
  readonly readings: readonly {
    readonly metric: string;
    readonly at: Date;
    readonly value: number | boolean | string;
  }[];
}

export interface DeviceFilter {
  readonly typeId?: string | null;
  readonly labels?: readonly { readonly key: string; readonly value: string }[] | null;
  readonly deviceIds?: readonly string[] | null;
  /** `DeviceSelector` as GraphQL gives it. */
  readonly selector?: unknown;
}

/** Most payloads that wait for a client of a stream of facts. */
const maxWaiting = 1_000;
/** Devices read at once for the snapshot of `deviceStates`. */
const snapshotPage = 500;
const maxDeviceIds = 1_000;
const maxMetrics = 100;

const stateOf = (change: Change<'device'>): DeviceStateUpdate => ({
  snapshot: false,
  device: { id: change.id },
  ...viewOfChange(change),
});

/** State and presence of one device. */
export function deviceStateStream(
  live: LiveOptions,
  tenant: string,
  { deviceId, since }: { readonly deviceId: string; readonly since?: string | null },
): Stream<DeviceStateUpdate> {
  return createStream<'device', DeviceStateUpdate>(live, {
    name: 'deviceState',
    tenant,
    since,
    entity: 'device',
    id: deviceId,
    requireSubject: () => requireDevice(live, tenant, deviceId, 'deviceId'),
    pending: createConflatingChanges,
    isState: true,
    tooOld: 'snapshot',
    payloadOf: stateOf,
    async snapshot() {
      const { view, seq } = await readDeviceView(live, tenant, deviceId);
      return { payloads: [{ snapshot: true, device: { id: deviceId }, ...view }], seq };
    },
  });
}

/** New readings of one device. */
export function telemetryStream(
  live: LiveOptions,
  tenant: string,
  args: { readonly deviceId: string; readonly metrics?: readonly string[] | null; readonly since?: string | null },
): Stream<TelemetryUpdate> {
  if ((args.metrics?.length ?? 0) > maxMetrics)
    throw new FleetgraphError('BAD_USER_INPUT', `Name at most ${maxMetrics} metrics, or none to get all.`, {
      field: 'metrics',
    });
  const wanted = args.metrics ? new Set(readMetricNames(args.metrics, 'metrics')) : undefined;
  const isWanted = ({ metric }: { readonly metric: string }): boolean => wanted?.has(metric) ?? true;
  const device = { id: args.deviceId };
  return createStream<'device', TelemetryUpdate>(live, {
    name: 'telemetry',
    tenant,
    since: args.since,
    entity: 'device',
    id: args.deviceId,
    requireSubject: () => requireDevice(live, tenant, args.deviceId, 'deviceId'),
    pending: () => createBoundedChanges(maxWaiting),
    isState: false,
    tooOld: 'error',
    matches: ({ payload }) => payload.readings.some(isWanted),
    payloadOf: ({ payload }) => ({
      snapshot: false,
      device,
      readings: payload.readings.filter(isWanted).map(({ metric, at, value }) => ({ metric, value, at: new Date(at) })),
    }),
    async snapshot() {
      const { view, seq } = await readDeviceView(live, tenant, args.deviceId);
      const readings = Object.entries(view.state?.metrics ?? {})
        .map(([metric, { at, value }]) => ({ metric, value, at: new Date(toMillis(toMicros(at))) }))
        .filter(isWanted);
      return { payloads: [{ snapshot: true, device, readings }], seq };
    },
  });
}

/** State and presence of every device that the filter matches. */
export function deviceStatesStream(
  live: LiveOptions,
  tenant: string,
  args: { readonly filter?: DeviceFilter | null; readonly since?: string | null },
): Stream<DeviceStateUpdate> {
  const filter = args.filter ?? {};
  const selector =
    filter.selector === null || filter.selector === undefined ? {} : readSelector(filter.selector, 'filter.selector');
  if ((filter.deviceIds?.length ?? 0) > maxDeviceIds)
    throw new FleetgraphError('BAD_USER_INPUT', `Name at most ${maxDeviceIds} devices, or filter by type or labels.`, {
      field: 'filter.deviceIds',
    });
  readFilterId(filter.typeId, 'filter.typeId');
  filter.deviceIds?.forEach((id, index) => readFilterId(id, `filter.deviceIds[${index}]`));
  return createStream<'device', DeviceStateUpdate>(live, {
    name: 'deviceStates',
    tenant,
    since: args.since,
    entity: 'device',
    pending: createConflatingChanges,
    isState: true,
    tooOld: 'snapshot',
    matches: matcherOf(filter, selector),
    payloadOf: stateOf,
    snapshot: (behind) => snapshotOfStates(live.sql, tenant, { ...filter, selector }, behind),
  });
}

/** Whether a change is of a device that the filter matches. */
export function matcherOf(filter: DeviceFilter, selector: DeviceSelector = {}): (change: Change<'device'>) => boolean {
  const selects = selectorMatcherById(selector);
  const ids = filter.deviceIds ? new Set(filter.deviceIds) : undefined;
  return ({ id, payload: { device } }) =>
    (ids?.has(id) ?? true) &&
    selects(id, device) &&
    (filter.typeId === null || filter.typeId === undefined || device?.typeId === filter.typeId) &&
    (filter.labels ?? []).every(
      ({ key, value }) => device !== null && Object.hasOwn(device.labels, key) && device.labels[key] === value,
    );
}

type SelectedFilter = DeviceFilter & { readonly selector: DeviceSelector };

/** A page of the states of all matching devices. */
async function snapshotOfStates(
  sql: Sql,
  tenant: string,
  filter: SelectedFilter,
  behind: string | undefined,
): Promise<SnapshotPage<DeviceStateUpdate>> {
  const { rows, seq } = await readStates(sql, tenant, filter, behind ?? '', snapshotPage + 1);
  const page = rows.slice(0, snapshotPage);
  return {
    payloads: page.map((row) => ({ snapshot: true, device: { id: row.device_id }, ...viewOfRow(row) })),
    seq,
    upTo: rows.length > snapshotPage ? page.at(-1)?.device_id : undefined,
  };
}

/** What selectors look at: the id of a state, type and labels of the registry. */
const selectorColumns = { id: 's.device_id', typeId: 'd.type_id', hasLabel: labelsInJson('d.labels') };

async function readStates(
  sql: Sql,
  tenant: string,
  filter: SelectedFilter,
  behind: string,
  limit: number,
): Promise<{ readonly rows: readonly DeviceStateRow[]; readonly seq: bigint }> {
  const labels = Object.fromEntries((filter.labels ?? []).map(({ key, value }) => [key, value]));
  const parameters: unknown[] = [
    ...[tenant, behind, filter.deviceIds ?? null, filter.typeId ?? null, JSON.stringify(labels), limit],
  ];
  const { ids, ...ofRegistry } = filter.selector;
  const place = (value: unknown): string => `$${parameters.push(value)}`;
  // Ids apart: a state is there before the registry has told of its device, and has an id, too.
  const byId = selectorConditions(ids === undefined ? {} : { ids }, selectorColumns, place);
  const byRegistry = selectorConditions(ofRegistry, selectorColumns, place);
  const rows = await sql.query<{ [K in keyof DeviceStateRow]: DeviceStateRow[K] | null } & { seq: bigint }>(
    `SELECT coalesce((SELECT seq FROM projections.change_clocks WHERE tenant = $1), 0) AS seq, s.*
     FROM (SELECT) one LEFT JOIN LATERAL (
       SELECT ${deviceStateColumns} FROM projections.device_states s
       WHERE s.tenant = $1 AND s.device_id > $2 AND s.version > 0 AND ($3::text[] IS NULL OR s.device_id = ANY($3))
         ${byId.map((condition) => `AND ${condition}`).join(' ')}
         AND (($4::text IS NULL AND $5::jsonb = '{}' AND ${byRegistry.length === 0}) OR EXISTS (
           SELECT FROM projections.devices d WHERE d.device_id = s.device_id AND d.tenant = s.tenant
             AND ($4 IS NULL OR d.type_id = $4) AND d.labels @> $5
             ${byRegistry.map((condition) => `AND ${condition}`).join(' ')}))
       ORDER BY s.device_id LIMIT $6
     ) s ON true ORDER BY s.device_id`,
    parameters,
  );
  return {
    seq: rows[0]?.seq ?? 0n,
    rows: rows.filter((row): row is DeviceStateRow & { seq: bigint } => row.device_id !== null),
  };
}

interface NumberedView {
  /** Undefined if nothing is known of its state. */
  readonly view: DeviceView | undefined;
  /** Number of the tenant's last change that it holds. */
  readonly seq: bigint;
}

/** A device's view. @throws FleetgraphError NOT_FOUND if the tenant has no such device. */
async function readDeviceView(
  live: LiveOptions,
  tenant: string,
  deviceId: string,
): Promise<NumberedView & { readonly view: DeviceView }> {
  const { view, seq } = await findDeviceView(live.sql, tenant, deviceId);
  if (view !== undefined) return { view, seq };
  await requireDevice(live, tenant, deviceId, 'deviceId');
  // It may have been waited for.
  const again = await findDeviceView(live.sql, tenant, deviceId);
  return { ...again, view: again.view ?? unheardOf };
}

async function findDeviceView(sql: Sql, tenant: string, deviceId: string): Promise<NumberedView> {
  // One statement, so that the state and the clock are of one moment.
  const rows = await sql.query<{ [K in keyof DeviceStateRow]: DeviceStateRow[K] | null } & { seq: bigint }>(
    `SELECT coalesce((SELECT seq FROM projections.change_clocks WHERE tenant = $1), 0) AS seq, ${deviceStateColumns}
     FROM (SELECT) one LEFT JOIN projections.device_states s ON s.tenant = $1 AND s.device_id = $2`,
    [tenant, deviceId],
  );
  const [row] = rows;
  const found = row?.device_id === null ? undefined : (row as DeviceStateRow | undefined);
  return { seq: row?.seq ?? 0n, view: found === undefined ? undefined : viewOfRow(found) };
}
