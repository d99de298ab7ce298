/**
 * The bridge: devices on one side, the bus on the other. In come telemetry and signals, over MQTT (`mqtt/`) or HTTP
 * (`http/`), through one intake (`intake/`) that decodes (`decoders/`), checks, and makes durable before anything is
 * acknowledged. Out go commands and desired states (`commands/`).
 */
import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import type { BusRecord, EventBus, Subscription } from '../backbone/bus/event-bus.js';
import { topics } from '../backbone/bus/topics.js';
import type { DeviceDirectory } from '../backbone/devices/device-directory.js';
import { decode, EventDecodingError, typeOf, type Event } from '../backbone/events/envelope.js';
import type { Config } from '../platform/config/config.js';
import { createHttpService, listen } from '../platform/http/service.js';
import type { VerifyToken } from '../platform/identity/verify-token.js';
import type { ServiceRole } from '../platform/lifecycle/role.js';
import type { Logger } from '../platform/observability/logger.js';
import type { Registry } from '../platform/observability/metrics.js';
import { createBoundedDirectory } from './bounded-directory.js';
import { createBridgeMetrics } from './bridge-metrics.js';
import { createCommandSender } from './commands/command-sender.js';
import { createDeviceCache } from './http/device-cache.js';
import { addIngestRoutes } from './http/ingest-routes.js';
import { createArrivalClock } from './intake/arrival-clock.js';
import { createDurablePublisher } from './intake/durable-publisher.js';
import { createIntake } from './intake/intake.js';
import { createRejections } from './intake/rejections.js';
import type { DeviceBroker } from './mqtt/device-broker.js';
import { createEmbeddedBroker } from './mqtt/embedded-broker.js';
import { createExternalBroker } from './mqtt/external/external-broker.js';
import { createPresenceSignals } from './mqtt/presence-signals.js';
import { profileEvents, updateProfiles } from './mqtt/profile-updates.js';

export interface BridgeRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  /** For undelivered commands, and the dead letters of its consumer. */
  readonly pool: pg.Pool;
  /** For the lock of the one bridge that sends commands, where several share a broker. */
  readonly databaseUrl: string;
  readonly bus: EventBus;
  readonly verifyToken: VerifyToken;
  readonly directory: DeviceDirectory;
}

/** How long a stop waits for what was received to become durable. */
const drainMs = 10_000;

/** Types of the events after which no connection that was opened before may stay. */
const endOfAccess: readonly string[] = [
  'io.fleetgraph.device.decommissioned.v1',
  'io.fleetgraph.device.credentials-rotated.v1',
];

/** Makes the role. It serves HTTP ingest on `config.ports.bridge` and MQTT on `config.ports.mqtt`. */
export function createBridgeRole(options: BridgeRoleOptions): ServiceRole & { mqttPort(): number | undefined } {
  const { config, log, metrics, pool, bus, verifyToken } = options;
  const directory = createBoundedDirectory(options.directory);
  const bridgeMetrics = createBridgeMetrics(metrics);
  const publisher = createDurablePublisher({ bus, log });
  const presence = createPresenceSignals({ publisher, log });
  const rejections = createRejections({ log, metrics });
  const { maxFutureMs, maxPayloadBytes, maxBodyBytes, retentionDays } = config.telemetry;
  const intake = createIntake({
    publisher,
    clock: createArrivalClock(),
    limits: { maxFutureMs, maxPayloadBytes, maxAgeMs: retentionDays * 86_400_000 },
    log,
  });
  const devices = createDeviceCache(directory);
  const service = { name: 'bridge', host: config.host, port: config.ports.bridge };
  let broker: DeviceBroker | undefined;
  const startedBroker = (): DeviceBroker => {
    if (!broker) throw new Error('The bridge has no broker before it has started.');
    return broker;
  };
  const mqttUrl = config.mqtt.url;
  const commands = createCommandSender({
    broker: startedBroker,
    directory,
    bus,
    pool,
    publisher,
    log,
    metrics,
    bridgeMetrics,
    ...(mqttUrl === undefined ? {} : { shared: { databaseUrl: options.databaseUrl } }),
  });
  let app: FastifyInstance | undefined;
  let deviceEvents: Subscription | undefined;
  let port: number | undefined;

  const ready = async (): Promise<void> => {
    await startedBroker().ready();
    publisher.ready();
    await bus.ready();
    await commands.role.ready();
  };

  return {
    name: service.name,
    ready,
    port() {
      if (port === undefined) throw new Error('The bridge has no port before it has started.');
      return port;
    },
    mqttPort: () => startedBroker().port(),
    async start() {
      // Whoever was connected to a broker that is embedded here went with it; elsewhere they still are.
      if (mqttUrl === undefined) await presence.reset(await bus.partitionsOf(topics.signals));
      deviceEvents = await bus.tail([topics.events], async (records) => {
        for (const record of records) {
          const type = typeOf(record) ?? '';
          if (type.startsWith('io.fleetgraph.device.')) devices.forget(record.key);
          if (!broker) continue;
          const event = profileEvents.includes(type) || endOfAccess.includes(type) ? decodeOrSkip(record) : undefined;
          if (!event) continue;
          // The one bridge that consumes the event for all can't close a connection to the broker in another.
          if (mqttUrl === undefined && endOfAccess.includes(type))
            broker.kick({ tenant: event.tenant, deviceId: record.key });
          await updateProfiles(event, broker.connections(), directory);
        }
      });
      const wiring = {
        log,
        directory,
        intake,
        presence,
        rejections,
        metrics: bridgeMetrics,
        onSubscribed: commands.deviceListens,
        onAcknowledged: commands.deviceConfirmed,
      };
      broker =
        mqttUrl !== undefined
          ? createExternalBroker({
              ...wiring,
              devices,
              instance: config.instance,
              room: () => publisher.room(),
              isSender: commands.isSender,
              config: { ...config.mqtt, url: mqttUrl },
            })
          : await createEmbeddedBroker({
              ...wiring,
              host: config.host,
              port: config.ports.mqtt,
              // Room for the topic and the headers beside the largest payload, and for one that is refused with a reason.
              maxPacketBytes: maxPayloadBytes * 16,
            });
      app = createHttpService({ ...service, log, metrics, ready, maxBodyBytes });
      addIngestRoutes(app, {
        directory,
        devices,
        verifyToken,
        intake,
        busReady: () => publisher.ready(),
        rejections,
        metrics: bridgeMetrics,
        maxLineBytes: maxPayloadBytes,
      });
      await broker.start();
      port = await listen(app, service);
      await commands.role.start();
      log.info({ port, mqttPort: broker.port() }, 'bridge is listening');
    },
    async stop() {
      // Intake first: what comes after this is not acknowledged.
      const answered = app?.close();
      app = undefined;
      await commands.role.stop();
      await broker?.stop();
      await publisher.stop(drainMs);
      // Only now: requests and presence wait for the publisher, which may wait for a bus that is away.
      await presence.settled();
      await answered;
      await deviceEvents?.stop();
      deviceEvents = undefined;
    },
  };
}

/** The event in a record; undefined for one that nobody can read, which must not stop those behind it. */
function decodeOrSkip(record: BusRecord): Event | undefined {
  try {
    return decode(record);
  } catch (error) {
    if (error instanceof EventDecodingError) return undefined;
    throw error;
  }
}
