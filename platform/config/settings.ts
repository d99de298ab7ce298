/** The variables of the environment: what each may be, and what it is when it is not set. */
import { z } from 'zod';
import { gatewaySettings } from './gateway-settings.js';
import { brokerList, flag, hostList, networkList, port, positiveInteger, secondsList, url } from './value-kinds.js';

/** Every variable with its schema, in the order of the table in docs/configuration.md. */
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

/** All of them, and what they must be beside each other. */
export const environment = z.object(settings).superRefine((value, context) => {
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
