/**
 * The one reader of the environment. Every setting has a default that works on a fresh machine; the absence of a URL
 * chooses the embedded part (PostgreSQL, MQTT broker, bus, token issuer). README.md has the table of settings.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { StartupError } from '../errors.js';

/** Hosts that fleetgraph can play, in start order. */
export const roleNames = ['device', 'actions', 'query', 'gateway', 'relay', 'projector', 'bridge'] as const;
export type RoleName = (typeof roleNames)[number];

const port = z.coerce.number().int().min(0).max(65_535);
const positiveInteger = z.coerce.number().int().positive();
const flag = z.enum(['true', 'false', '1', '0']).transform((value) => value === 'true' || value === '1');
const url = (...protocols: string[]) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol),
      `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
    );

/** A setting whose other side is still to come: refused, because ignoring it would surprise. */
const notYet = (what: string) =>
  z.never({ error: `is set, but ${what} is not part of this version; unset it` }).optional();

/** Every variable with its schema, in the order of the README's table. */
export const settings = {
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  FLEETGRAPH_DATA_DIR: z.string().min(1).default('.fleetgraph'),
  FLEETGRAPH_HOST: z.string().min(1).default('127.0.0.1'),
  DATABASE_URL: url('postgres:', 'postgresql:').optional(),
  DATABASE_POOL_SIZE: positiveInteger.default(10),
  JWKS_URL: url('http:', 'https:').optional(),
  JWT_ISSUER: z.string().min(1).default('https://issuer.fleetgraph.local'),
  JWT_AUDIENCE: z.string().min(1).default('fleetgraph'),
  GATEWAY_PORT: port.default(4000),
  BRIDGE_PORT: port.default(8080),
  QUERY_PORT: port.default(8081),
  ACTIONS_PORT: port.default(8082),
  DEVICE_PORT: port.default(8083),
  OPERATIONS_PORT: port.default(9090),
  MQTT_PORT: port.default(1883),
  QUERY_URL: url('http:', 'https:').optional(),
  ACTIONS_URL: url('http:', 'https:').optional(),
  DEVICE_URL: url('http:', 'https:').optional(),
  BUS_PARTITIONS: positiveInteger.max(1_024).default(4),
  BUS_RETENTION_HOURS: positiveInteger.default(72),
  TELEMETRY_RETENTION_DAYS: positiveInteger.default(30),
  CHANGES_RETENTION_HOURS: positiveInteger.default(24),
  TELEMETRY_MAX_FUTURE_MS: positiveInteger.default(300_000),
  MQTT_MAX_PAYLOAD_BYTES: positiveInteger.default(65_536),
  INGEST_MAX_BODY_BYTES: positiveInteger.default(4_194_304),
  CONSISTENCY_TIMEOUT_MS: positiveInteger.default(5_000),
  SHUTDOWN_TIMEOUT_MS: positiveInteger.default(20_000),
  EXPLORER: flag.default(true),
  KAFKA_BROKERS: notYet('the Kafka adapter of the bus'),
  MQTT_URL: notYet('an external MQTT broker'),
} as const;
const environment = z.object(settings);

export interface Config {
  readonly mode: 'development' | 'production' | 'test';
  readonly logLevel: z.infer<typeof environment>['LOG_LEVEL'];
  /** Absolute path of what the embedded parts keep: database, broker identity, issuer keys. */
  readonly dataDirectory: string;
  /** Address that every port listens on. */
  readonly host: string;
  readonly database: { readonly url: string | undefined; readonly poolSize: number };
  readonly identity: { readonly jwksUrl: string | undefined; readonly issuer: string; readonly audience: string };
  /** Port 0 takes a free one. `operations` serves health and metrics of roles without a port of their own. */
  readonly ports: {
    readonly gateway: number;
    readonly bridge: number;
    readonly query: number;
    readonly actions: number;
    readonly device: number;
    readonly operations: number;
    readonly mqtt: number;
  };
  /** Where the gateway finds the subgraphs, when they run elsewhere. */
  readonly subgraphUrls: {
    readonly query: string | undefined;
    readonly actions: string | undefined;
    readonly device: string | undefined;
  };
  readonly bus: { readonly partitions: number; readonly retentionMs: number };
  readonly telemetry: {
    readonly retentionDays: number;
    /** A reading may be stamped at most this far ahead of the clock of the bridge. */
    readonly maxFutureMs: number;
    readonly maxPayloadBytes: number;
    readonly maxBodyBytes: number;
  };
  readonly changesRetentionMs: number;
  readonly consistencyTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
  readonly explorer: boolean;
}

/**
 * Reads the settings.
 * @throws StartupError that names every setting at fault in one sentence.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  // An empty variable is how compose files and shells say "not set".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      (issue) => `${issue.path.join('.')} ${issue.message.replace(/^Invalid input: /, '')}`,
    );
    throw new StartupError(`Bad configuration: ${faults.join('; ')}. The README has the table of settings.`);
  }
  const value = parsed.data;
  return {
    mode: value.NODE_ENV,
    logLevel: value.LOG_LEVEL,
    dataDirectory: resolve(value.FLEETGRAPH_DATA_DIR),
    host: value.FLEETGRAPH_HOST,
    database: { url: value.DATABASE_URL, poolSize: value.DATABASE_POOL_SIZE },
    identity: { jwksUrl: value.JWKS_URL, issuer: value.JWT_ISSUER, audience: value.JWT_AUDIENCE },
    ports: {
      gateway: value.GATEWAY_PORT,
      bridge: value.BRIDGE_PORT,
      query: value.QUERY_PORT,
      actions: value.ACTIONS_PORT,
      device: value.DEVICE_PORT,
      operations: value.OPERATIONS_PORT,
      mqtt: value.MQTT_PORT,
    },
    subgraphUrls: { query: value.QUERY_URL, actions: value.ACTIONS_URL, device: value.DEVICE_URL },
    bus: { partitions: value.BUS_PARTITIONS, retentionMs: value.BUS_RETENTION_HOURS * 3_600_000 },
    telemetry: {
      retentionDays: value.TELEMETRY_RETENTION_DAYS,
      maxFutureMs: value.TELEMETRY_MAX_FUTURE_MS,
      maxPayloadBytes: value.MQTT_MAX_PAYLOAD_BYTES,
      maxBodyBytes: value.INGEST_MAX_BODY_BYTES,
    },
    changesRetentionMs: value.CHANGES_RETENTION_HOURS * 3_600_000,
    consistencyTimeoutMs: value.CONSISTENCY_TIMEOUT_MS,
    shutdownTimeoutMs: value.SHUTDOWN_TIMEOUT_MS,
    explorer: value.EXPLORER,
  };
}
