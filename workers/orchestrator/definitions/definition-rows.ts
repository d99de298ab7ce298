/** The SQL of `orchestrator.rules`, `orchestrator.rule_clock` and `orchestrator.devices`. */
import type pg from 'pg';
import { labelsInJson, selectorConditions, type DeviceSelector } from '../../../backbone/devices/label-selector.js';
import { compileRule } from '../../../backbone/rules/compile.js';
import type { Event } from '../../../backbone/events/envelope.js';
import type { RuleDefinition } from '../../../backbone/rules/definition.js';
import { inTransaction, sqlOf, type Sql } from '../../../platform/database/sql.js';
import type { WatchKey } from '../watch/watch-rows.js';

export interface KnownRule {
  readonly tenant: string;
  readonly id: string;
  readonly version: number;
  /** null: it is deleted. */
  readonly definition: RuleDefinition | null;
}

/** What says which devices there are. */
export type DeviceEvent = Event<
  'io.fleetgraph.device.registered.v1' | 'io.fleetgraph.device.updated.v1' | 'io.fleetgraph.device.decommissioned.v1'
>;

/** Makes a rule known to all orchestrators. One that is not newer than what is known changes nothing. */
export async function knowRule(pool: pg.Pool, rule: KnownRule): Promise<void> {
  await inTransaction(pool, async (sql) => {
    // First of all: whoever has to wait here has no number yet, so numbers are in the order of commits.
    const [clock] = await sql.query<{ change: bigint }>(
      'UPDATE orchestrator.rule_clock SET change = change + 1 WHERE id = 1 RETURNING change',
    );
    await sql.query(
      `INSERT INTO orchestrator.rules AS r (id, tenant, definition, version, change)
       VALUES ($1::text, $2::text, $3::jsonb, $4::int, $5::bigint)
       ON CONFLICT (id) DO UPDATE SET definition = excluded.definition, version = excluded.version, change = excluded.change
       WHERE r.version < excluded.version AND r.tenant = excluded.tenant`,
      [
        ...[rule.id, rule.tenant, rule.definition === null ? null : JSON.stringify(rule.definition), rule.version],
        (clock?.change ?? 0n).toString(),
      ],
    );
  });
}

/**
 * Makes devices known, as the events say, in their order. A device that is decommissioned stays so: the events of a device come in
 * order, but an old one may come again.
 */
export async function knowDevices(pool: pg.Pool, events: readonly DeviceEvent[]): Promise<void> {
  const latest = new Map<
    string,
    { tenant: string; typeId?: string; labels?: Record<string, string>; active: boolean }
  >();
  for (const { type, tenant, data } of events) {
    const before = latest.get(data.deviceId);
    if (type === 'io.fleetgraph.device.decommissioned.v1')
      latest.set(data.deviceId, { ...(before ?? { tenant }), active: false });
    else
      latest.set(data.deviceId, { tenant, typeId: data.typeId, labels: data.labels, active: before?.active ?? true });
  }
  await sqlOf(pool).query(
    `INSERT INTO orchestrator.devices AS d (id, tenant, type_id, labels, active)
     SELECT n.id, n.tenant, coalesce(n."typeId", ''), coalesce(n.labels, '{}'), n.active
     FROM jsonb_to_recordset($1::jsonb) AS n(id text, tenant text, "typeId" text, labels jsonb, active boolean) ORDER BY n.id
     ON CONFLICT (id) DO UPDATE SET active = d.active AND excluded.active,
       type_id = CASE WHEN excluded.type_id = '' THEN d.type_id ELSE excluded.type_id END,
       labels = CASE WHEN excluded.type_id = '' THEN d.labels ELSE excluded.labels END
     WHERE d.tenant = excluded.tenant`,
    [JSON.stringify([...latest].map(([id, device]) => ({ id, ...device })))],
  );
}

/** Devices that the rule is about, if it waits for time to pass; in the order of their ids, behind `behind`. */
export async function waitingDevices(
  sql: Sql,
  { tenant, definition }: KnownRule,
  behind: string,
  limit: number,
): Promise<readonly WatchKey[]> {
  if (definition?.enabled !== true || !compileRule(definition).waits) return [];
  const parameters: unknown[] = [tenant, behind, limit];
  const conditions = selectorConditions(
    definition.selector as DeviceSelector,
    { id: 'id', typeId: 'type_id', hasLabel: labelsInJson('labels') },
    (value) => `$${parameters.push(value)}`,
  );
  return sql.query<WatchKey>(
    `SELECT tenant, id AS "deviceId" FROM orchestrator.devices
     WHERE tenant = $1::text AND active AND id > $2::text ${conditions.map((condition) => `AND ${condition}`).join(' ')}
     ORDER BY id LIMIT $3::int`,
    parameters,
  );
}
