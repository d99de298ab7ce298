/** The SQL of `actions.rules` and `actions.metric_declarations`. */
import type { MetricDefinition } from '../../../backbone/events/catalogue.js';
import { lockStream } from '../../../backbone/store/stream-lock.js';
import type { Sql } from '../../../platform/database/sql.js';
import { streamOf, type Rule } from './rule.js';

const columns = `id, tenant, name, description, enabled, severity, selector, condition, actions, revision,
  created_at AS "createdAt", updated_at AS "updatedAt"`;

type Row = Omit<Rule, 'description'> & { readonly description: string | null };

function ruleOf({ description, ...row }: Row): Rule {
  return { ...row, ...(description === null ? {} : { description }) };
}

/** The tenant's rules with these ids, in no order. */
export async function findRules(sql: Sql, tenant: string, ids: readonly string[]): Promise<readonly Rule[]> {
  const rows = await sql.query<Row>(
    `SELECT ${columns} FROM actions.rules WHERE tenant = $1::text AND id = ANY($2::text[])`,
    [tenant, ids],
  );
  return rows.map(ruleOf);
}

/** The tenant's rule, locked until the end of the transaction. */
export async function lockRule(transaction: Sql, tenant: string, id: string): Promise<Rule | undefined> {
  await lockStream(transaction, tenant, streamOf(id));
  const [row] = await transaction.query<Row>(
    `SELECT ${columns} FROM actions.rules WHERE tenant = $1::text AND id = $2::text FOR UPDATE`,
    [tenant, id],
  );
  return row && ruleOf(row);
}

/** Writes the rule that the transaction has locked, or a new one. */
export async function saveRule(transaction: Sql, rule: Rule): Promise<void> {
  await transaction.query(
    `INSERT INTO actions.rules (id, tenant, name, description, enabled, severity, selector, condition, actions, revision, created_at, updated_at)
     VALUES ($1::text, $2::text, $3::text, $4::text, $5::boolean, $6::text, $7::jsonb, $8::jsonb, $9::jsonb, $10::int, $11::timestamptz, $12::timestamptz)
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, enabled = excluded.enabled,
       severity = excluded.severity, selector = excluded.selector, condition = excluded.condition, actions = excluded.actions,
       revision = excluded.revision, updated_at = excluded.updated_at`,
    [
      ...[rule.id, rule.tenant, rule.name, rule.description ?? null, rule.enabled, rule.severity],
      ...[JSON.stringify(rule.selector), JSON.stringify(rule.condition), JSON.stringify(rule.actions)],
      ...[rule.revision, rule.createdAt, rule.updatedAt],
    ],
  );
}

export async function removeRule(transaction: Sql, rule: Rule): Promise<void> {
  await transaction.query('DELETE FROM actions.rules WHERE tenant = $1::text AND id = $2::text', [
    rule.tenant,
    rule.id,
  ]);
}

/** How many rules the tenant has. */
export async function countRules(sql: Sql, tenant: string): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM actions.rules WHERE tenant = $1::text',
    [tenant],
  );
  return row?.count ?? 0;
}

/** The tenant's rules, newest first, behind the one at (`createdAtMs`, `id`). */
export async function listRules(
  sql: Sql,
  tenant: string,
  limit: number,
  after: { readonly createdAtMs: number; readonly id: string } | undefined,
): Promise<readonly Rule[]> {
  const rows = await sql.query<Row>(
    `SELECT ${columns} FROM actions.rules
     WHERE tenant = $1::text AND ($3::timestamptz IS NULL OR (created_at, id) < ($3::timestamptz, $4::text))
     ORDER BY created_at DESC, id DESC LIMIT $2::int`,
    [tenant, limit, after === undefined ? null : new Date(after.createdAtMs), after?.id ?? null],
  );
  return rows.map(ruleOf);
}

export interface Declaration {
  readonly typeId: string;
  readonly metrics: readonly Pick<MetricDefinition, 'name' | 'kind'>[];
}

/** What the types declare; those that are not known (yet) are missing. */
export async function findDeclarations(
  sql: Sql,
  tenant: string,
  typeIds: readonly string[],
): Promise<readonly Declaration[]> {
  return sql.query<Declaration>(
    `SELECT type_id AS "typeId", metrics FROM actions.metric_declarations WHERE tenant = $1::text AND type_id = ANY($2::text[])`,
    [tenant, typeIds],
  );
}

/** Takes note of what types declare now, in the order in which it was said. */
export async function saveDeclarations(
  sql: Sql,
  declarations: readonly (Declaration & { readonly tenant: string })[],
): Promise<void> {
  const latest = new Map(
    declarations.map((declaration) => [`${declaration.tenant}/${declaration.typeId}`, declaration]),
  );
  const rows = [...latest.values()].map(({ tenant, typeId, metrics }) => ({
    tenant,
    typeId,
    metrics: metrics.map(({ name, kind }) => ({ name, kind })),
  }));
  await sql.query(
    `INSERT INTO actions.metric_declarations (tenant, type_id, metrics)
     SELECT n.tenant, n."typeId", n.metrics FROM jsonb_to_recordset($1::jsonb) AS n(tenant text, "typeId" text, metrics jsonb)
     ORDER BY n.tenant, n."typeId" ON CONFLICT (tenant, type_id) DO UPDATE SET metrics = excluded.metrics`,
    [JSON.stringify(rows)],
  );
}
