/**
 * An external MQTT 5 broker (EMQX; any with shared subscriptions): devices connect there, the bridges share what they say.
 *
 * - Up: several connections in the shared subscription `$share/fleetgraph/…` (shared-connection.ts). Which device a message
 *   is of says its topic: the broker lets each device publish on its own topics only (deploy/emqx, docs/mqtt.md).
 * - Down: one connection that publishes, and is told who comes and listens, to send what waits for them.
 * - Presence: what the broker says of its clients (../broker-events.ts); from brokers that don't, what devices say themselves
 *   and their wills.
 */
import { readFileSync } from 'node:fs';
import type { IClientOptions, IPublishPacket } from 'mqtt';
import { LRUCache } from 'lru-cache';
import type { DeviceDirectory, DeviceProfile } from '../../../backbone/devices/device-directory.js';
import {
  parseUpTopic,
  upChannels,
  type DeviceAddress,
  type DownChannel,
  type UpChannel,
} from '../../../backbone/devices/device-topics.js';
import type { Config } from '../../../platform/config/config.js';
import { messageOf, StartupError } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import type { BridgeMetrics } from '../../bridge-metrics.js';
import { isObject, parseJson, RejectedPayload } from '../../decoders/decoder.js';
import { refusalOf, type Intake } from '../../intake/intake.js';
import type { Rejections } from '../../intake/rejections.js';
import { brokerEventTopics, createEventWatch, parseBrokerEvent, type BrokerEvent } from '../broker-events.js';
import type { DeviceBroker, DownListeners } from '../device-broker.js';
import type { PresenceSignals } from '../presence-signals.js';
import { openDownConnection, type DownConnection } from './down-connection.js';
import { createEviction } from './evict.js';
import { openSharedConnection, type SharedConnection } from './shared-connection.js';

export interface ExternalBrokerOptions extends DownListeners {
  readonly config: Config['mqtt'] & { readonly url: string };
  /** Name of this process among its peers: its sessions are found by it. */
  readonly instance: string;
  readonly log: Logger;
  readonly directory: DeviceDirectory;
  /** Devices by tenant and id, remembered for a while. */
  readonly devices: Pick<DeviceDirectory, 'find'>;
  readonly intake: Intake;
  /** Resolves when the intake would take a message more. */
  readonly room: () => Promise<void>;
  /** Whether it is this bridge that sends to devices: the others need not know who comes. */
  readonly isSender: () => boolean;
  readonly presence: PresenceSignals;
  readonly rejections: Rejections;
  readonly metrics: BridgeMetrics;
}

const group = '$share/fleetgraph';
/** On which something may wait for a device that begins to listen. */
const awaitedChannels: readonly DownChannel[] = ['command', 'delta'];
/** Devices whose session is remembered. A device beyond is sent again what it may have. */
const maxSessions = 200_000;
/** A broker that tells of its clients has told of this one by then. */
const silenceMs = 2_000;

/** @throws StartupError when the certificate authority can't be read. */
export function createExternalBroker(options: ExternalBrokerOptions): DeviceBroker {
  const { config, log, devices, directory, intake, presence, rejections, metrics } = options;
  const login = loginOf(config);
  const stopped = new AbortController();
  const outages = createOutageLog({ log, event: 'devices can not be looked up; messages wait' });
  /** Session in which a device was last seen, by its id. */
  const sessions = new LRUCache<string, number>({ max: maxSessions });
  let shared: readonly SharedConnection[] = [];
  let down: DownConnection | undefined;
  /** The broker tells who connects: what devices say of themselves is late news then. */
  const watch = createEventWatch(silenceMs);
  const evict = createEviction({ url: config.url, login, log, signal: stopped.signal });

  /** The device, however long it takes to find out; undefined when there is none in service. */
  const findDevice = async (find: () => Promise<DeviceProfile | undefined>): Promise<DeviceProfile | undefined> => {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const found = await find();
        outages.succeeded('directory');
        return found;
      } catch (error) {
        if (stopped.signal.aborted) throw error;
        outages.failed('directory', error);
        await pause(50 + backoffMs(attempt, 100, 2_000), stopped.signal);
      }
    }
  };

  const takeMessage = async (
    packet: IPublishPacket,
    { tenant, deviceId, channel }: DeviceAddress & { readonly channel: UpChannel },
    profile: DeviceProfile | undefined,
  ): Promise<void> => {
    const payload = payloadOf(packet);
    try {
      metrics.messages.inc({ channel });
      const endTimer = metrics.durableSeconds.startTimer();
      if (!profile) throw new RejectedPayload('unknown_device');
      if (channel === 'presence') await takeOwnPresence(profile, payload);
      else await intake.message(profile, channel, channel === 'command/ack' ? withCorrelation(packet) : payload);
      endTimer();
    } catch (error) {
      const refusal = refusalOf(error);
      if (!refusal) throw error;
      if (refusal !== error)
        log.error({ tenant, deviceId, topic: packet.topic, err: error }, 'a message can not be taken');
      rejections.add({
        tenant,
        deviceId,
        transport: 'mqtt',
        topic: packet.topic,
        payload,
        reason: refusal.reason,
        message: refusal.message,
      });
    }
  };

  /** One chain for each connection: what a device says is taken in the order in which it came, as long as it lasts. */
  const inOrder = (gone: AbortSignal): ((packet: IPublishPacket) => Promise<void>) => {
    let previous: Promise<unknown> = Promise.resolve();
    return (packet) => {
      // The lookups are behind each other; becoming durable is not waited for by those behind.
      const started = previous.then(async () => {
        const address = parseUpTopic(packet.topic);
        if (!address) return { done: takePresenceEvent(packet) };
        await options.room();
        const profile = await findDevice(() => devices.find(address.tenant, address.deviceId));
        // It comes again on the next one.
        gone.throwIfAborted();
        return { done: takeMessage(packet, address, profile) };
      });
      previous = started.catch(() => undefined);
      return started.then(({ done }) => done);
    };
  };

  const takePresenceEvent = async (packet: IPublishPacket): Promise<void> => {
    const event = parseBrokerEvent(packet.topic, payloadOf(packet));
    if (!event || event.kind === 'subscribed') return;
    watch.heard();
    if (isOwn(event)) return;
    const profile = await findDevice(() => directory.findByClientId(event.clientId));
    const online = event.kind === 'connected';
    // One that has been decommissioned since it came is gone all the same.
    if (!profile || (online && !profile.active)) return;
    await presence.publish(profile, {
      online,
      session: event.connectedAt,
      reason: online ? 'connected' : 'disconnected',
    });
  };

  const takeOwnPresence = async (profile: DeviceProfile, payload: Buffer): Promise<void> => {
    const message = parseJson(payload.toString('utf8'));
    if (!isObject(message) || typeof message['online'] !== 'boolean')
      throw new RejectedPayload('wrong_shape', 'Presence is {"online": true} or {"online": false}.');
    if (await watch.tells()) return;
    const online = message['online'];
    await presence.publish(profile, {
      online,
      session: presence.nextSession(),
      reason: online ? 'connected' : 'will',
    });
  };

  /** The bridges themselves are clients, too; in the place of a device when they evict it. */
  const isOwn = ({ username }: BrokerEvent): boolean => username !== undefined && username === config.username;

  /** Who comes, or says that it is here, gets what waits for it. Every bridge hears it, one of them sends. */
  const hear = (packet: IPublishPacket): void => {
    const address = parseUpTopic(packet.topic);
    if (address) {
      if (options.isSender() && saysOnline(payloadOf(packet)) && !watch.hasTold())
        listens(address.tenant, address.deviceId, Date.now());
      return;
    }
    const event = parseBrokerEvent(packet.topic, payloadOf(packet));
    if (!event) return;
    watch.heard();
    if (event.kind === 'disconnected' || isOwn(event) || !options.isSender() || !isWaitedFor(event)) return;
    directory.findByClientId(event.clientId).then(
      (profile) => {
        if (profile?.active === true) listens(profile.tenant, profile.deviceId, event.connectedAt);
      },
      (error: unknown) => log.debug({ err: error }, 'who connected can not be looked up'),
    );
  };
  const listens = (tenant: string, deviceId: string, session: number): void => {
    if (session < (sessions.get(deviceId) ?? 0)) return;
    sessions.set(deviceId, session);
    for (const channel of awaitedChannels) options.onSubscribed({ tenant, deviceId }, channel, session);
  };

  return {
    async start() {
      const upTopics = [
        ...upChannels.map((channel: UpChannel) => `${group}/fleet/+/+/${channel}`),
        ...brokerEventTopics.map((topic) => `${group}/${topic}`),
      ];
      shared = Array.from({ length: config.connections }, (_unused, index) =>
        openSharedConnection({
          url: config.url,
          login,
          log,
          topics: upTopics,
          createTake: inOrder,
          receiveMaximum: config.receiveMaximum,
          sessionExpirySeconds: config.sessionExpirySeconds,
          clientId: `fleetgraph-bridge-${options.instance}-${index}`,
        }),
      );
      down = openDownConnection({
        url: config.url,
        login,
        log,
        hear,
        clientId: `fleetgraph-bridge-${options.instance}-down`,
        topics: ['fleet/+/+/presence', ...brokerEventTopics, '$SYS/brokers/+/clients/+/subscribed'],
      });
    },
    async ready() {
      for (const connection of shared) connection.ready();
      down?.ready();
    },
    port: () => undefined,
    async send(device, channel, message) {
      const delivered = (await down?.send(device, channel, message)) ?? false;
      return delivered ? (sessions.get(device.deviceId) ?? 0) : undefined;
    },
    connections: () => [],
    kick: ({ deviceId }) => evict(deviceId),
    async stop() {
      stopped.abort();
      await Promise.all([...shared.map((connection) => connection.stop()), down?.stop()]);
    },
  };
}

function loginOf({ username, password, caFile }: Config['mqtt']): Pick<IClientOptions, 'username' | 'password' | 'ca'> {
  try {
    return {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(caFile === undefined ? {} : { ca: [readFileSync(caFile, 'utf8')] }),
    };
  } catch (error) {
    throw new StartupError(`MQTT_CA_FILE can't be read: ${messageOf(error)}.`, { cause: error });
  }
}

/** Whether it connected, perhaps to a session that was kept, or listens where something waits for it. */
function isWaitedFor({ kind, topic }: BrokerEvent): boolean {
  return (
    kind === 'connected' || topic === undefined || awaitedChannels.some((channel) => topic.endsWith(`/${channel}`))
  );
}

function payloadOf({ payload }: IPublishPacket): Buffer {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}

function saysOnline(payload: Buffer): boolean {
  try {
    const message = parseJson(payload.toString('utf8'));
    return isObject(message) && message['online'] === true;
  } catch {
    return false;
  }
}

/** An answer that names its command by correlation data (MQTT 5.0, section 4.10) instead of in the payload. */
function withCorrelation(packet: IPublishPacket): Buffer {
  const payload = payloadOf(packet);
  const id = packet.properties?.correlationData?.toString('utf8');
  if (id === undefined) return payload;
  if (payload.length === 0) return Buffer.from(JSON.stringify({ id }));
  try {
    const answer = parseJson(payload.toString('utf8'));
    return isObject(answer) && answer['id'] === undefined ? Buffer.from(JSON.stringify({ ...answer, id })) : payload;
  } catch {
    return payload;
  }
}
