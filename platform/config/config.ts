/**
 * The one reader of the environment. Every setting has a default that works on a fresh machine; the absence of a URL
 * chooses the embedded part (PostgreSQL, MQTT broker, bus, token issuer). README.md has the table of settings.
 */
import { hostname } from 'node:os';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import { StartupError } from '../errors.js';
import type { TracingOptions } from '../observability/tracing.js';
import { gatewaySettings, graphLimits, type GraphLimits } from './gateway-settings.js';

/** Hosts that fleetgraph can play, in start order. */
export const roleNames = [
  'device',
  'actions',
  'query',
  'gateway',
  'relay',
  'projector',
  'orchestrator',
  'bridge',
] as const;
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

const brokerList = z
  .string()
  .transform((value) => value.split(',').map((broker) => broker.trim()))
  .refine(
    (brokers) => brokers.every((broker) => /^(?:\[[0-9a-fA-F:]+\]|[^\s:/,]+):\d{1,5}$/.test(broker)),
    'must be a list of host:port, separated by commas',
  );

/** Host names and networks: `hooks.internal,10.1.0.0/16,fd00::/8`; a bare address is a network of one. */
const hostList = z
  .string()
  .transform((value) => value.split(',').map((part) => part.trim().toLowerCase()))
  .refine(
    (parts) => parts.every((part) => /^[a-z0-9._-]+$/.test(part) || /^[0-9a-f.:]+(\/\d{1,3})?$/.test(part)),
    'must be a list of host names, addresses and networks (10.1.0.0/16), separated by commas',
  );

/** Addresses and networks: `10.0.0.0/8,fd00::1`. */
const networkList = z
  .string()
  .transform((value) => value.split(',').map((part) => part.trim()))
  .refine(
    (parts) =>
      parts.every((part) => /^[0-9a-fA-F.:]+(\/\d{1,3})?$/.test(part) && isIP(part.replace(/\/\d+$/, '')) !== 0),
    'must be a list of addresses and networks (10.0.0.0/8), separated by commas',
  );

const secondsList = z
  .string()
  .transform((value) => value.split(',').map((part) => Number(part.trim())))
  .refine(
    (seconds) => seconds.length <= 20 && seconds.every((value) => value > 0 && value <= 86_400),
    'must be at most 20 pauses of up to 86400 seconds, separated by commas',
  );

/** Every variable with its schema, in the order of the README's table. */
export const settings = {
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  OTEL_EXPORTER_OTLP_ENDPOINT: url('http:', 'https:').optional(),
  OTEL_SERVICE_NAME: z.string().min(1).default('fleetgraph'),
  FLEETGRAPH_DATA_DIR: z.string().min(1).default('.fleetgraph'),
  FLEETGRAPH_HOST: z.string().min(1).default('127.0.0.1'),
  FLEETGRAPH_INSTANCE: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, hyphens or underscores')
    .optional(),
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
  STARTUP_TIMEOUT_MS: positiveInteger.default(60_000),
  SHUTDOWN_TIMEOUT_MS: positiveInteger.default(20_000),
  GATEWAY_DRAIN_MS: z.coerce.number().int().min(0).default(0),
  GATEWAY_MAX_CONNECTIONS: positiveInteger.default(50_000),
  GATEWAY_MAX_CONNECTIONS_PER_TENANT: positiveInteger.default(20_000),
  GATEWAY_MAX_OPERATIONS_PER_CONNECTION: positiveInteger.default(100),
  GATEWAY_TRUSTED_PROXIES: networkList.optional(),
  ...gatewaySettings,
  EXPLORER: flag.default(true),
  KAFKA_BROKERS: brokerList.optional(),
  KAFKA_TLS: flag.default(false),
  KAFKA_CA_FILE: z.string().min(1).optional(),
  KAFKA_SASL_MECHANISM: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).optional(),
  KAFKA_USERNAME: z.string().min(1).optional(),
  KAFKA_PASSWORD: z.string().min(1).optional(),
  KAFKA_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9._-]{0,100}$/, 'must be at most 100 letters, digits, dots, hyphens or underscores')
    .default(''),
  KAFKA_REPLICATION_FACTOR: positiveInteger.default(1),
  KAFKA_MIN_INSYNC_REPLICAS: positiveInteger.default(1),
  KAFKA_COMPRESSION: z.enum(['none', 'gzip']).default('none'),
  KAFKA_LINGER_MS: z.coerce.number().int().min(0).max(1_000).default(5),
  MQTT_URL: url('mqtt:', 'mqtts:', 'ws:', 'wss:').optional(),
  MQTT_USERNAME: z.string().min(1).optional(),
  MQTT_PASSWORD: z.string().min(1).optional(),
  MQTT_CA_FILE: z.string().min(1).optional(),
  MQTT_CONNECTIONS: positiveInteger.max(64).default(4),
  MQTT_RECEIVE_MAXIMUM: positiveInteger.max(65_535).default(1_000),
  MQTT_SESSION_EXPIRY_SECONDS: positiveInteger.max(4_294_967_295).default(86_400),
  MQTT_AUTH_SECRET: z.string().min(16, 'must have at least 16 characters').optional(),
  WEBHOOK_ALLOW_HTTP: flag.default(false),
  WEBHOOK_ALLOWED_HOSTS: hostList.optional(),
  WEBHOOK_TIMEOUT_MS: positiveInteger.max(60_000).default(15_000),
  WEBHOOK_RETRY_SECONDS: secondsList.default([5, 60, 300, 1_800, 7_200, 18_000, 36_000]),
  WEBHOOK_LOG_RETENTION_DAYS: positiveInteger.default(30),
  WEBHOOK_ENCRYPTION_KEYS: z
    .string()
    .transform((value) => value.split(',').map((key) => key.trim()))
    .refine(
      (keys) => keys.every((key) => key.length >= 32),
      'must be keys of at least 32 characters each, separated by commas',
    )
    .optional(),
} as const;

const environment = z.object(settings).superRefine((value, context) => {
  const fault = (name: keyof typeof settings, message: string) => {
    context.addIssue({ code: 'custom', path: [name], message });
  };
  const sasl = [value.KAFKA_SASL_MECHANISM, value.KAFKA_USERNAME, value.KAFKA_PASSWORD];
  if (sasl.some((part) => part !== undefined) && sasl.includes(undefined)) {
    fault('KAFKA_SASL_MECHANISM', 'needs KAFKA_USERNAME and KAFKA_PASSWORD beside it, and they need it');
  }
  if (value.KAFKA_CA_FILE !== undefined && !value.KAFKA_TLS) fault('KAFKA_CA_FILE', 'needs KAFKA_TLS=true');
  if (value.KAFKA_MIN_INSYNC_REPLICAS > value.KAFKA_REPLICATION_FACTOR) {
    fault('KAFKA_MIN_INSYNC_REPLICAS', 'must not exceed KAFKA_REPLICATION_FACTOR: nothing could be published');
  }
  if (value.GATEWAY_PERSISTED_ONLY && value.GATEWAY_PERSISTED_OPERATIONS === undefined) {
    fault('GATEWAY_PERSISTED_ONLY', 'needs GATEWAY_PERSISTED_OPERATIONS beside it: nothing could be run');
  }
  if (value.MQTT_PASSWORD !== undefined && value.MQTT_USERNAME === undefined) {
    fault('MQTT_PASSWORD', 'needs MQTT_USERNAME beside it');
  }
});

/** How to reach Redpanda or Kafka, and how topics are made there. */
export interface KafkaConfig {
  /** `host:port` of the brokers asked first. */
  readonly brokers: readonly string[];
  /** Undefined: plain text. Without `caFile`, the certificate authorities of Node.js are trusted. */
  readonly tls: { readonly caFile: string | undefined } | undefined;
  readonly sasl:
    | {
        readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
        readonly username: string;
        readonly password: string;
      }
    | undefined;
  /** In front of the names of topics and consumer groups, so that deployments can share a cluster. */
  readonly prefix: string;
  readonly replicationFactor: number;
  readonly minInsyncReplicas: number;
  readonly compression: 'none' | 'gzip';
  /** How long a record may wait for others to share its request. */
  readonly lingerMs: number;
}

export interface Config {
  readonly mode: 'development' | 'production' | 'test';
  readonly tracing: TracingOptions;
  readonly logLevel: z.infer<typeof environment>['LOG_LEVEL'];
  /** Absolute path of what the embedded parts keep: database, broker identity, issuer keys. */
  readonly dataDirectory: string;
  /** Address that every port listens on. */
  readonly host: string;
  /** Name of this process among its peers. An MQTT session is found again by it, so it must survive a restart. */
  readonly instance: string;
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
  /** Undefined: the bus is in PostgreSQL. */
  readonly kafka: KafkaConfig | undefined;
  readonly mqtt: {
    /** Undefined: the broker is embedded in the bridge. */
    readonly url: string | undefined;
    readonly username: string | undefined;
    readonly password: string | undefined;
    readonly caFile: string | undefined;
    /** Connections of one bridge in the shared subscription. */
    readonly connections: number;
    /** Messages on their way to durable for each connection; the broker holds back what is more. */
    readonly receiveMaximum: number;
    /** How long the broker keeps messages for a bridge that is away. */
    readonly sessionExpirySeconds: number;
    /** What the broker presents to `/mqtt/*` of the device role. Undefined: the routes don't exist. */
    readonly authSecret: string | undefined;
  };
  readonly telemetry: {
    readonly retentionDays: number;
    /** A reading may be stamped at most this far ahead of the clock of the bridge. */
    readonly maxFutureMs: number;
    readonly maxPayloadBytes: number;
    readonly maxBodyBytes: number;
  };
  readonly webhooks: {
    /** Whether an endpoint may be plain http. */
    readonly allowHttp: boolean;
    /** Host names, addresses and networks that may be called although they are private. */
    readonly allowedHosts: readonly string[];
    /** How long one attempt may take. */
    readonly timeoutMs: number;
    /** Pauses before each further attempt. */
    readonly retryDelaysMs: readonly number[];
    readonly logRetentionDays: number;
    /** The first seals secrets, all of them open them. Empty: secrets are stored as they are. */
    readonly encryptionKeys: readonly string[];
  };
  readonly changesRetentionMs: number;
  readonly consistencyTimeoutMs: number;
  /** How long a start waits for the database and the bus. */
  readonly startupTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
  /** How long the gateway is not ready any more before it closes anything, for a balancer to notice. */
  readonly gatewayDrainMs: number;
  /** Of one gateway. */
  readonly webSocketLimits: {
    readonly connections: number;
    readonly connectionsPerTenant: number;
    readonly operationsPerConnection: number;
  };
  /** Proxies in front of the gateway, whose `x-forwarded-for` is believed. */
  readonly trustedProxies: readonly string[];
  /** What the gateway takes of one request, and what it answers. */
  readonly graph: GraphLimits;
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
  const instance =
    value.FLEETGRAPH_INSTANCE ??
    hostname()
      .replace(/[^A-Za-z0-9._-]/g, '-')
      .slice(0, 64);
  return {
    mode: value.NODE_ENV,
    logLevel: value.LOG_LEVEL,
    tracing: { collectorUrl: value.OTEL_EXPORTER_OTLP_ENDPOINT, serviceName: value.OTEL_SERVICE_NAME, instance },
    dataDirectory: resolve(value.FLEETGRAPH_DATA_DIR),
    host: value.FLEETGRAPH_HOST,
    instance,
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
    kafka: kafkaConfig(value),
    mqtt: {
      url: value.MQTT_URL,
      username: value.MQTT_USERNAME,
      password: value.MQTT_PASSWORD,
      caFile: value.MQTT_CA_FILE,
      connections: value.MQTT_CONNECTIONS,
      receiveMaximum: value.MQTT_RECEIVE_MAXIMUM,
      sessionExpirySeconds: value.MQTT_SESSION_EXPIRY_SECONDS,
      authSecret: value.MQTT_AUTH_SECRET,
    },
    telemetry: {
      retentionDays: value.TELEMETRY_RETENTION_DAYS,
      maxFutureMs: value.TELEMETRY_MAX_FUTURE_MS,
      maxPayloadBytes: value.MQTT_MAX_PAYLOAD_BYTES,
      maxBodyBytes: value.INGEST_MAX_BODY_BYTES,
    },
    webhooks: {
      allowHttp: value.WEBHOOK_ALLOW_HTTP,
      allowedHosts: value.WEBHOOK_ALLOWED_HOSTS ?? [],
      timeoutMs: value.WEBHOOK_TIMEOUT_MS,
      retryDelaysMs: value.WEBHOOK_RETRY_SECONDS.map((seconds) => seconds * 1_000),
      logRetentionDays: value.WEBHOOK_LOG_RETENTION_DAYS,
      encryptionKeys: value.WEBHOOK_ENCRYPTION_KEYS ?? [],
    },
    changesRetentionMs: value.CHANGES_RETENTION_HOURS * 3_600_000,
    consistencyTimeoutMs: value.CONSISTENCY_TIMEOUT_MS,
    startupTimeoutMs: value.STARTUP_TIMEOUT_MS,
    shutdownTimeoutMs: value.SHUTDOWN_TIMEOUT_MS,
    gatewayDrainMs: value.GATEWAY_DRAIN_MS,
    webSocketLimits: {
      connections: value.GATEWAY_MAX_CONNECTIONS,
      connectionsPerTenant: value.GATEWAY_MAX_CONNECTIONS_PER_TENANT,
      operationsPerConnection: value.GATEWAY_MAX_OPERATIONS_PER_CONNECTION,
    },
    trustedProxies: value.GATEWAY_TRUSTED_PROXIES ?? [],
    graph: graphLimits(value, value.NODE_ENV === 'production'),
    explorer: value.EXPLORER,
  };
}

function kafkaConfig(value: z.infer<typeof environment>): KafkaConfig | undefined {
  if (value.KAFKA_BROKERS === undefined) return undefined;
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_USERNAME: username, KAFKA_PASSWORD: password } = value;
  return {
    brokers: value.KAFKA_BROKERS,
    tls: value.KAFKA_TLS ? { caFile: value.KAFKA_CA_FILE } : undefined,
    sasl:
      mechanism !== undefined && username !== undefined && password !== undefined
        ? { mechanism, username, password }
        : undefined,
    prefix: value.KAFKA_PREFIX,
    replicationFactor: value.KAFKA_REPLICATION_FACTOR,
    minInsyncReplicas: value.KAFKA_MIN_INSYNC_REPLICAS,
    compression: value.KAFKA_COMPRESSION,
    lingerMs: value.KAFKA_LINGER_MS,
  };
}
