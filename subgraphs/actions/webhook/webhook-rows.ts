/** The SQL of `actions.webhooks`. A webhook and the row about its endpoint come and go together. */
import { lockStream } from '../../../backbone/store/stream-lock.js';
import type { Sql } from '../../../platform/database/sql.js';
import { closed, type Circuit } from './endpoint/circuit.js';
import { streamOf, type Webhook } from './webhook.js';

const columns = `id, tenant, url, description, event_types AS "eventTypes", rule_ids AS "ruleIds", severities, status::text AS status,
  secret, previous_secret AS "previousSecret", previous_secret_expires_at AS "previousSecretExpiresAt", revision,
  created_at AS "createdAt", updated_at AS "updatedAt"`;

/** The tenant's webhooks with these ids, in no order. */
export async function findWebhooks(sql: Sql, tenant: string, ids: readonly string[]): Promise<readonly Webhook[]> {
  return sql.query<Webhook>(
    `SELECT ${columns} FROM actions.webhooks WHERE tenant = $1::text AND id = ANY($2::text[])`,
    [tenant, ids],
  );
}

/** The tenant's webhook, locked until the end of the transaction: nobody else changes it meanwhile. */
export async function lockWebhook(transaction: Sql, tenant: string, id: string): Promise<Webhook | undefined> {
  await lockStream(transaction, tenant, streamOf(id));
  return (await findWebhooks(transaction, tenant, [id]))[0];
}

/** How many webhooks the tenant has. */
export async function countWebhooks(sql: Sql, tenant: string): Promise<number> {
  const rows = await sql.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM actions.webhooks WHERE tenant = $1::text',
    [tenant],
  );
  return rows[0]?.count ?? 0;
}

/** The tenant's webhooks, newest first. */
export async function listWebhooks(
  sql: Sql,
  tenant: string,
  query: { readonly limit: number; readonly after: { readonly createdAtMs: number; readonly id: string } | undefined },
): Promise<readonly Webhook[]> {
  return sql.query<Webhook>(
    `SELECT ${columns} FROM actions.webhooks
     WHERE tenant = $1::text AND ($3::timestamptz IS NULL OR (created_at, id) < ($3::timestamptz, $4::text))
     ORDER BY created_at DESC, id DESC LIMIT $2::int`,
    [tenant, query.limit, query.after === undefined ? null : new Date(query.after.createdAtMs), query.after?.id ?? ''],
  );
}

export async function insertWebhook(transaction: Sql, webhook: Webhook): Promise<void> {
  await transaction.query(
    `INSERT INTO actions.webhooks (id, tenant, url, description, event_types, rule_ids, severities, status, secret,
       previous_secret, previous_secret_expires_at, revision, created_at, updated_at)
     VALUES ($1::text, $2::text, $3::text, $4::text, $5::text[], $6::text[], $7::text[], $8::actions.webhook_status, $9::text,
       $10::text, $11::timestamptz, $12::int, $13::timestamptz, $14::timestamptz)`,
    valuesOf(webhook),
  );
  await transaction.query('INSERT INTO actions.webhook_endpoints (webhook_id) VALUES ($1::text)', [webhook.id]);
}

/** Writes what has changed about a webhook that the transaction has locked. */
export async function saveWebhook(transaction: Sql, webhook: Webhook): Promise<void> {
  await transaction.query(
    `UPDATE actions.webhooks
     SET url = $3::text, description = $4::text, event_types = $5::text[], rule_ids = $6::text[], severities = $7::text[],
         status = $8::actions.webhook_status, secret = $9::text, previous_secret = $10::text,
         previous_secret_expires_at = $11::timestamptz, revision = $12::int, created_at = $13::timestamptz, updated_at = $14::timestamptz
     WHERE id = $1::text AND tenant = $2::text`,
    valuesOf(webhook),
  );
}

/** Removes the webhook, and with it the row about its endpoint and its deliveries. */
export async function removeWebhook(transaction: Sql, webhook: Webhook): Promise<void> {
  await transaction.query('DELETE FROM actions.webhooks WHERE id = $1::text AND tenant = $2::text', [
    webhook.id,
    webhook.tenant,
  ]);
}

/** The circuits of these webhooks. One without a row is closed. */
export async function findCircuits(sql: Sql, webhookIds: readonly string[]): Promise<ReadonlyMap<string, Circuit>> {
  const rows = await sql.query<{ webhookId: string; failures: number; openings: number; retryAt: Date | null }>(
    `SELECT webhook_id AS "webhookId", failures, openings, retry_at AS "retryAt" FROM actions.webhook_endpoints
     WHERE webhook_id = ANY($1::text[])`,
    [webhookIds],
  );
  return new Map(
    rows.map(({ webhookId, failures, openings, retryAt }) => [
      webhookId,
      { failures, openings, retryAtMs: retryAt?.getTime() ?? null },
    ]),
  );
}

/** Forgets what the endpoint did: it has another URL now, or someone says that it works again. */
export async function closeCircuit(sql: Sql, webhookId: string): Promise<void> {
  await sql.query(
    'UPDATE actions.webhook_endpoints SET failures = $2::int, openings = $3::int, retry_at = NULL WHERE webhook_id = $1::text',
    [webhookId, closed.failures, closed.openings],
  );
}

function valuesOf(webhook: Webhook): readonly unknown[] {
  return [
    webhook.id,
    webhook.tenant,
    webhook.url,
    webhook.description,
    webhook.eventTypes,
    webhook.ruleIds,
    webhook.severities,
    webhook.status,
    webhook.secret,
    webhook.previousSecret,
    webhook.previousSecretExpiresAt,
    webhook.revision,
    webhook.createdAt,
    webhook.updatedAt,
  ];
}
