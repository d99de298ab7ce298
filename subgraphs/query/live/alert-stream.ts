/** The subscription `alerts`: those that are active, then each change of one. */
import type { AlertChange, AlertDocument } from '../../../backbone/changes/change.js';
import {
  labelsInJson,
  readSelector,
  selectorConditions,
  selectorMatcherById,
  type DeviceSelector,
} from '../../../backbone/devices/label-selector.js';
import type { RuleSeverity } from '../../../backbone/rules/definition.js';
import { readSeverities } from '../../../backbone/rules/severity-input.js';
import { readFilterId } from '../../../platform/graphql/filter-id.js';
import type { Sql } from '../../../platform/database/sql.js';
import type { SnapshotPage } from './catch-up.js';
import { createConflatingChanges } from './pending-changes.js';
import { createStream, type LiveOptions, type Stream } from './stream.js';

/** Payload of `alerts`. */
export interface AlertUpdate {
  readonly snapshot: boolean;
  readonly status: string;
  readonly acknowledged: boolean;
  readonly count: number;
  readonly alert: { readonly id: string };
}

export interface AlertStreamFilter {
  readonly severity?: readonly string[] | null;
  readonly ruleId?: string | null;
  readonly deviceId?: string | null;
  /** `DeviceSelector` as GraphQL gives it. */
  readonly selector?: unknown;
}

/** The conditions that there are, checked. */
interface SelectedFilter {
  readonly severity: readonly RuleSeverity[] | undefined;
  readonly ruleId: string | undefined;
  readonly deviceId: string | undefined;
  readonly selector: DeviceSelector;
}

/** What selectors look at. */
const selectorColumns = { id: 'a.device_id', typeId: 'd.type_id', hasLabel: labelsInJson('d.labels') };
/** Alerts read at once for the snapshot. */
const snapshotPage = 500;

/** @throws FleetgraphError BAD_USER_INPUT with the condition that can't be. */
export function alertStream(
  live: LiveOptions,
  tenant: string,
  { filter, since }: { readonly filter?: AlertStreamFilter | null; readonly since?: string | null },
): Stream<AlertUpdate> {
  const selected = readFilter(filter ?? {});
  const matches = matcherOf(selected);
  return createStream<'alert', AlertUpdate>(live, {
    name: 'alerts',
    tenant,
    since,
    entity: 'alert',
    pending: createConflatingChanges,
    isState: true,
    tooOld: 'snapshot',
    matches: ({ payload }) => matches(payload),
    payloadOf: ({ payload }) => updateOf(payload, false),
    snapshot: (behind) => snapshotOfAlerts(live.sql, tenant, selected, behind ?? ''),
  });
}

function readFilter({ severity, ruleId, deviceId, selector }: AlertStreamFilter): SelectedFilter {
  return {
    severity: severity ? readSeverities(severity, 'filter.severity') : undefined,
    ruleId: readFilterId(ruleId, 'filter.ruleId'),
    deviceId: readFilterId(deviceId, 'filter.deviceId'),
    selector: selector === null || selector === undefined ? {} : readSelector(selector, 'filter.selector'),
  };
}

function updateOf({ id, status, acknowledged, count }: AlertDocument, snapshot: boolean): AlertUpdate {
  return { snapshot, status, acknowledged, count, alert: { id } };
}

function matcherOf({ severity, ruleId, deviceId, selector }: SelectedFilter): (alert: AlertChange) => boolean {
  const selects = selectorMatcherById(selector);
  const severities = severity ? new Set<string>(severity) : undefined;
  return (alert) =>
    (severities?.has(alert.severity) ?? true) &&
    (ruleId === undefined || alert.ruleId === ruleId) &&
    (deviceId === undefined || alert.deviceId === deviceId) &&
    selects(alert.deviceId, alert.device);
}

/** A page of the active alerts that match. */
async function snapshotOfAlerts(
  sql: Sql,
  tenant: string,
  { severity, ruleId, deviceId, selector: { ids, ...ofRegistry } }: SelectedFilter,
  behind: string,
): Promise<SnapshotPage<AlertUpdate>> {
  const parameters: unknown[] = [
    ...[tenant, behind, severity ?? null, ruleId ?? null, deviceId ?? null, snapshotPage + 1],
  ];
  const place = (value: unknown): string => `$${parameters.push(value)}`;
  const conditions = [...selectorConditions(ids === undefined ? {} : { ids }, selectorColumns, place)];
  const ofDevice = selectorConditions(ofRegistry, selectorColumns, place);
  if (ofDevice.length > 0)
    conditions.push(
      `EXISTS (SELECT FROM projections.devices d
               WHERE d.device_id = a.device_id AND d.tenant = a.tenant AND ${ofDevice.join(' AND ')})`,
    );
  // One statement, so that the alerts and the clock are of one moment.
  const rows = await sql.query<{ seq: bigint; document: AlertDocument | null }>(
    `SELECT coalesce((SELECT seq FROM projections.change_clocks WHERE tenant = $1), 0) AS seq, a.document
     FROM (SELECT) one LEFT JOIN LATERAL (
       SELECT id, document FROM projections.alerts a
       WHERE tenant = $1 AND active AND id > $2 AND ($3::text[] IS NULL OR document->>'severity' = ANY($3))
         AND ($4::text IS NULL OR document->>'ruleId' = $4) AND ($5::text IS NULL OR device_id = $5)
         ${conditions.map((condition) => `AND ${condition}`).join(' ')}
       ORDER BY id LIMIT $6
     ) a ON true ORDER BY a.id`,
    parameters,
  );
  const found = rows.flatMap(({ document }) => (document === null ? [] : [document]));
  const page = found.slice(0, snapshotPage);
  return {
    payloads: page.map((document) => updateOf(document, true)),
    seq: rows[0]?.seq ?? 0n,
    upTo: found.length > snapshotPage ? page.at(-1)?.id : undefined,
  };
}
