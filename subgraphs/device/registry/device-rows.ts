/** Devices and types in SQL: every statement is bound to a tenant. */
import type { CommandDefinition } from '../../../backbone/devices/command-schema.js';
import type { MetricDefinition } from '../../../backbone/events/catalogue.js';
import { lockStream } from '../../../backbone/store/stream-lock.js';
import type { Sql } from '../../../platform/database/sql.js';
import type { JsonObject } from '../../../platform/database/storable.js';
import { streamOf, type Device, type DeviceType, type Labels } from './device.js';

export const deviceColumns = `d.id, d.tenant, d.name, d.type_id, d.status::text AS status, d.revision, d.desired, d.desired_version, d.desired_at,
  d.reported, d.reported_version, d.reported_at, d.created_at, d.updated_at,
  (SELECT coalesce(jsonb_object_agg(l.key, l.value), '{}'::jsonb) FROM device.device_labels l WHERE l.device_id = d.id) AS labels`;

export interface DeviceRow {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly type_id: string;
  readonly status: Device['status'];
  readonly revision: number;
  readonly desired: JsonObject;
  readonly desired_version: number;
  readonly desired_at: Date | null;
  readonly reported: JsonObject;
  readonly reported_version: number;
  readonly reported_at: Date | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly labels: Labels;
}

export function toDevice(row: DeviceRow): Device {
  return {
    id: row.id,
    tenant: row.tenant,
    name: row.name,
    typeId: row.type_id,
    labels: row.labels,
    status: row.status,
    revision: row.revision,
    desired: row.desired,
    desiredVersion: row.desired_version,
    desiredAt: row.desired_at,
    reported: row.reported,
    reportedVersion: row.reported_version,
    reportedAt: row.reported_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Those of the ids that the tenant has, in no order. */
export async function findDevices(sql: Sql, tenant: string, ids: readonly string[]): Promise<Device[]> {
  const rows = await sql.query<DeviceRow>(
    `SELECT ${deviceColumns} FROM device.devices d WHERE d.tenant = $1::text AND d.id = ANY($2::text[])`,
    [tenant, ids],
  );
  return rows.map(toDevice);
}

/** The device, its stream locked until the end of the transaction: changes of one device happen one after the other. */
export async function lockDevice(transaction: Sql, tenant: string, id: string): Promise<Device | undefined> {
  // Locked first, read second: a read that began before the lock could be from before a change.
  await lockStream(transaction, tenant, streamOf(id));
  return (await findDevices(transaction, tenant, [id]))[0];
}

/** Inserts devices with their labels and credentials, each in one statement however many they are. */
export async function insertDevices(
  transaction: Sql,
  devices: readonly { readonly device: Device; readonly passwordHash: string }[],
): Promise<void> {
  await transaction.query(
    `INSERT INTO device.devices (id, tenant, name, type_id, revision, created_at, updated_at)
     SELECT id, tenant, name, "typeId", revision, "createdAt", "updatedAt"
     FROM jsonb_to_recordset($1::jsonb) AS d(id text, tenant text, name text, "typeId" text, revision int, "createdAt" timestamptz, "updatedAt" timestamptz)`,
    [JSON.stringify(devices.map(({ device }) => device))],
  );
  await insertLabels(
    transaction,
    devices.map(({ device }) => device),
  );
  await transaction.query(
    `INSERT INTO device.credentials (client_id, tenant, device_id, username, password_hash, created_at)
     SELECT id, tenant, id, id, hash, at FROM jsonb_to_recordset($1::jsonb) AS c(id text, tenant text, hash text, at timestamptz)`,
    [
      JSON.stringify(
        devices.map(({ device, passwordHash }) => ({
          id: device.id,
          tenant: device.tenant,
          hash: passwordHash,
          at: device.createdAt,
        })),
      ),
    ],
  );
}

/** Writes what `evolve` made of a device, labels included. */
export async function saveDevice(transaction: Sql, device: Device): Promise<void> {
  await transaction.query(
    `UPDATE device.devices SET name = n.name, type_id = n."typeId", status = n.status::device.device_status, revision = n.revision,
       desired = n.desired, desired_version = n."desiredVersion", desired_at = n."desiredAt", reported = n.reported, reported_version = n."reportedVersion",
       reported_at = n."reportedAt", updated_at = n."updatedAt"
     FROM jsonb_to_record($1::jsonb) AS n(id text, tenant text, name text, "typeId" text, status text, revision int, desired jsonb,
       "desiredVersion" int, "desiredAt" timestamptz, reported jsonb, "reportedVersion" int, "reportedAt" timestamptz, "updatedAt" timestamptz)
     WHERE devices.id = n.id AND devices.tenant = n.tenant`,
    [JSON.stringify(device)],
  );
}

/** Makes the labels of a device these and no others. */
export async function replaceLabels(transaction: Sql, device: Device): Promise<void> {
  await transaction.query('DELETE FROM device.device_labels WHERE device_id = $1::text', [device.id]);
  await insertLabels(transaction, [device]);
}

async function insertLabels(transaction: Sql, devices: readonly Device[]): Promise<void> {
  const rows = devices.flatMap(({ id, tenant, labels }) =>
    Object.entries(labels).map(([key, value]) => ({ id, tenant, key, value })),
  );
  if (rows.length === 0) return;
  await transaction.query(
    `INSERT INTO device.device_labels (device_id, tenant, key, value)
     SELECT id, tenant, key, value FROM jsonb_to_recordset($1::jsonb) AS l(id text, tenant text, key text, value text)`,
    [JSON.stringify(rows)],
  );
}

export async function replacePassword(transaction: Sql, deviceId: string, passwordHash: string): Promise<void> {
  await transaction.query(
    'UPDATE device.credentials SET password_hash = $2::text, created_at = now(), revoked_at = NULL WHERE device_id = $1::text',
    [deviceId, passwordHash],
  );
}

export async function revokeCredentials(transaction: Sql, deviceId: string): Promise<void> {
  await transaction.query(
    'UPDATE device.credentials SET revoked_at = now() WHERE device_id = $1::text AND revoked_at IS NULL',
    [deviceId],
  );
}

const typeColumns = 'id, tenant, name, description, metrics, decoder, commands, revision, created_at, updated_at';

interface TypeRow {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly description: string | null;
  readonly metrics: readonly MetricDefinition[];
  readonly decoder: string;
  readonly commands: readonly CommandDefinition[];
  readonly revision: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

function toType({ created_at: createdAt, updated_at: updatedAt, ...row }: TypeRow): DeviceType {
  return { ...row, createdAt, updatedAt };
}

export async function findTypes(sql: Sql, tenant: string, ids: readonly string[]): Promise<DeviceType[]> {
  const rows = await sql.query<TypeRow>(
    `SELECT ${typeColumns} FROM device.device_types WHERE tenant = $1::text AND id = ANY($2::text[])`,
    [tenant, ids],
  );
  return rows.map(toType);
}

/** Types behind `afterId` in the order of ids. */
export async function listTypes(
  sql: Sql,
  tenant: string,
  afterId: string | undefined,
  limit: number,
): Promise<DeviceType[]> {
  const rows = await sql.query<TypeRow>(
    `SELECT ${typeColumns} FROM device.device_types WHERE tenant = $1::text AND id > $2::text ORDER BY id LIMIT $3::int`,
    [tenant, afterId ?? '', limit],
  );
  return rows.map(toType);
}

/** Inserts the type unless it is there. @returns whether it was inserted. */
export async function insertType(transaction: Sql, type: DeviceType): Promise<boolean> {
  const rows = await transaction.query(
    `INSERT INTO device.device_types (tenant, id, name, description, metrics, decoder, commands, revision, created_at, updated_at)
     SELECT tenant, id, name, description, metrics, decoder, commands, revision, "createdAt", "updatedAt"
     FROM jsonb_to_record($1::jsonb) AS t(tenant text, id text, name text, description text, metrics jsonb, decoder text, commands jsonb, revision int, "createdAt" timestamptz, "updatedAt" timestamptz)
     ON CONFLICT (tenant, id) DO NOTHING RETURNING id`,
    [JSON.stringify(type)],
  );
  return rows.length === 1;
}

export async function lockType(transaction: Sql, tenant: string, id: string): Promise<DeviceType | undefined> {
  const [row] = await transaction.query<TypeRow>(
    `SELECT ${typeColumns} FROM device.device_types WHERE tenant = $1::text AND id = $2::text FOR UPDATE`,
    [tenant, id],
  );
  return row && toType(row);
}

export async function saveType(transaction: Sql, type: DeviceType): Promise<void> {
  await transaction.query(
    `UPDATE device.device_types SET name = $3::text, description = $4::text, metrics = $5::jsonb, decoder = $6::text, revision = $7::int, updated_at = $8::timestamptz,
       commands = $9::jsonb
     WHERE tenant = $1::text AND id = $2::text`,
    [
      type.tenant,
      type.id,
      type.name,
      type.description,
      JSON.stringify(type.metrics),
      type.decoder,
      type.revision,
      type.updatedAt.toISOString(),
      JSON.stringify(type.commands),
    ],
  );
}

/** Whether any device of the tenant is of this type. */
export async function typeIsUsed(sql: Sql, tenant: string, typeId: string): Promise<boolean> {
  const rows = await sql.query(
    'SELECT 1 AS used FROM device.devices WHERE tenant = $1::text AND type_id = $2::text LIMIT 1',
    [tenant, typeId],
  );
  return rows.length > 0;
}
