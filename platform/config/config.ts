/**
 * The one reader of the environment. Every setting has a default that works on a fresh machine; the absence of a URL
 * chooses the embedded part (PostgreSQL, MQTT broker, bus, token issuer). docs/configuration.md has the table of settings.
 */
import { availableParallelism, hostname } from 'node:os';
import { resolve } from 'node:path';
import type { z } from 'zod';
import { StartupError } from '../errors.js';
import type { TracingOptions } from '../observability/tracing.js';
import { graphLimits, type GraphLimits } from './gateway-settings.js';
import { environment } from './settings.js';

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
  /** Processes of the gateway, behind one port. */
  readonly gatewayWorkers: number;
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
    throw new StartupError(`Bad configuration: ${faults.join('; ')}. docs/configuration.md has the table of settings.`);
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
    gatewayWorkers: value.GATEWAY_WORKERS === 'auto' ? availableParallelism() : value.GATEWAY_WORKERS,
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
