/**
 * The embedded MQTT broker: aedes (MQTT 3.1.1), wired to the intake.
 *
 * An acknowledgement must mean "stored". aedes writes the PUBACK before it hands a message to subscribers, so the message
 * is taken in earlier: in `authorizePublish`, whose callback the PUBACK waits for. What devices send is for the bus alone
 * and goes to no other client: once taken in, it is rewritten to a topic that nobody may subscribe to.
 * Source: aedes 1.2, lib/handlers/publish.js.
 */
import { Aedes, type AedesPublishPacket, type Client, type PublishPacket, type Subscription } from 'aedes';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { DeviceDirectory, DeviceProfile } from '../../backbone/devices/device-directory.js';
import { downChannels, isAllowed, parseUpTopic, topicOf } from '../../backbone/devices/device-topics.js';
import { portError } from '../../platform/http/service.js';
import type { Logger } from '../../platform/observability/logger.js';
import { isObject, parseJson, RejectedPayload } from '../decoders/decoder.js';
import type { BridgeMetrics } from '../bridge-metrics.js';
import type { Intake } from '../intake/intake.js';
import type { Rejections } from '../intake/rejections.js';
import { createConnections, type Sent } from './connections.js';
import type { DeviceBroker, DownListeners } from './device-broker.js';
import { createDeviceLogin } from './device-login.js';
import type { PresenceSignals } from './presence-signals.js';

export interface EmbeddedBrokerOptions extends DownListeners {
  readonly host: string;
  readonly port: number;
  readonly log: Logger;
  readonly directory: DeviceDirectory;
  readonly intake: Intake;
  readonly presence: PresenceSignals;
  readonly rejections: Rejections;
  readonly metrics: BridgeMetrics;
  /** A packet larger than this closes the connection before it is held in memory whole. */
  readonly maxPacketBytes: number;
}

/** Messages that a device may have on their way to it: more than all commands that can wait for it. */
const maxUnconfirmed = 200;

/** Where messages go that were taken in or refused: `$` topics match no wildcard, and nobody is allowed this one. */
const sink = '$fleetgraph/taken';

export async function createEmbeddedBroker(options: EmbeddedBrokerOptions): Promise<DeviceBroker> {
  const { log, directory, intake, presence, rejections, metrics } = options;
  const login = createDeviceLogin({ directory, metrics, log });
  const connectionOf = createConnections();
  const online = new Map<string, Client>();
  let stopping = false;
  const broker = await Aedes.createBroker({ concurrency: 10_000, queueLimit: 1_000, connectTimeout: 10_000 });

  const packetSeen = (client: Client): void => {
    connectionOf(client).bytesSeen = (client.conn as Socket).bytesRead;
  };

  broker.preConnect = (client, packet, done) => {
    packetSeen(client);
    connectionOf(client).willTopic = packet.will?.topic;
    done(null, !stopping);
  };

  broker.authenticate = (client, username, password, done) => {
    const connection = connectionOf(client);
    void login({
      clientId: client.id,
      username: username ?? '',
      password: password?.toString() ?? '',
      address: (client.conn as Socket).remoteAddress ?? '',
      willTopic: connection.willTopic,
    }).then((outcome) => {
      if ('profile' in outcome) {
        connection.profile = outcome.profile;
        done(null, true);
      } else done(Object.assign(new Error(outcome.message), { returnCode: outcome.returnCode }), null);
    });
  };

  broker.authorizeSubscribe = (client, subscription, done) => {
    packetSeen(client);
    const { profile } = connectionOf(client);
    const allowed = profile !== undefined && isAllowed(profile, 'subscribe', subscription.topic);
    const channel = profile && downChannels.find((name) => subscription.topic === topicOf(profile, name));
    // Also asked for the subscriptions of a session that was kept, before its connection is ready.
    if (channel !== undefined) connectionOf(client).subscriptions.set(channel, subscription.qos);
    if (!allowed)
      log.warn(
        { deviceId: profile?.deviceId, topic: subscription.topic.slice(0, 256) },
        'a subscription was denied: not a topic of the device',
      );
    // null grants 0x80 for this subscription and lets the others of the packet be.
    done(null, allowed ? subscription : null);
  };

  /** Takes a message in; resolves when its acknowledgement may be written. */
  const take = async (client: Client, packet: PublishPacket): Promise<void> => {
    const { profile, session } = connectionOf(client);
    if (!profile) throw new Error('A message came from a connection without identity.');
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    const { topic } = packet;
    try {
      const address = parseUpTopic(topic);
      if (!address) throw new RejectedPayload('unknown_topic');
      if (!isAllowed(profile, 'publish', topic)) throw new RejectedPayload('foreign_topic');
      metrics.messages.inc({ channel: address.channel });
      const endTimer = metrics.durableSeconds.startTimer();
      if (address.channel === 'presence') takePresence(profile, session, payload);
      else await intake.message(profile, address.channel, payload);
      endTimer();
    } catch (error) {
      if (!(error instanceof RejectedPayload)) throw error;
      rejections.add({
        tenant: profile.tenant,
        deviceId: profile.deviceId,
        transport: 'mqtt',
        topic,
        reason: error.reason,
        message: error.message,
        payload,
      });
    }
  };

  const takePresence = (profile: DeviceProfile, session: number, payload: Buffer): void => {
    const message = parseJson(payload.toString('utf8'));
    if (!isObject(message) || typeof message['online'] !== 'boolean')
      throw new RejectedPayload('wrong_shape', 'Presence is {"online": true} or {"online": false}.');
    if (!message['online']) presence.changed(profile, { online: false, session, reason: 'will' });
  };

  broker.authorizePublish = (client, packet, done) => {
    if (!client) {
      // From this process itself: commands.
      done(null);
      return;
    }
    packetSeen(client);
    take(client, packet).then(
      () => {
        packet.topic = sink;
        packet.payload = Buffer.alloc(0);
        packet.retain = false;
        done(null);
      },
      (error: unknown) => {
        // Without an acknowledgement: the device sends it again when it is back.
        log.warn(
          { clientId: client.id, err: error },
          'a message was not stored; the connection is closed so that the device sends it again',
        );
        done(error instanceof Error ? error : new Error(String(error)));
      },
    );
  };

  // Nothing of a device is for another one; only this process sends to devices.
  broker.authorizeForward = (client: Client, packet: AedesPublishPacket) =>
    packet.topic === sink || (!client.connected && isKeptCommand(client, packet)) ? null : packet;

  // A session that is kept has its unconfirmed messages in aedes, too. Commands are ours to send again: from both, a device
  // that restarts at one would get it twice, then three times, and so on.
  const isKeptCommand = (client: Client, { topic }: AedesPublishPacket): boolean => {
    const { profile } = connectionOf(client);
    return profile !== undefined && topic === topicOf(profile, 'command');
  };

  broker.on('clientReady', (client: Client) => {
    const connection = connectionOf(client);
    // One that hung up while it was let in has had its end already: it would stay online for ever.
    if (!connection.profile || client.closed) return;
    connection.session = presence.nextSession();
    online.set(connection.profile.deviceId, client);
    metrics.connected.set(online.size);
    presence.changed(connection.profile, { online: true, session: connection.session, reason: 'connected' });
    // A session that was kept has its subscriptions from before the connection.
    for (const channel of connection.subscriptions.keys())
      options.onSubscribed(connection.profile, channel, connection.session);
  });
  const onGone = (client: Client): void => {
    const connection = connectionOf(client);
    const { profile, session, ended } = connection;
    if (!profile || session === 0 || ended) return;
    connection.ended = true;
    // A client that took over under the same id is another connection, with a later session.
    if (online.get(profile.deviceId) === client) online.delete(profile.deviceId);
    metrics.connected.set(online.size);
    presence.changed(profile, { online: false, session, reason: 'disconnected' });
  };
  broker.on('clientDisconnect', onGone);
  broker.on('subscribe', (subscriptions: Subscription[], client: Client) => {
    const { profile, session } = connectionOf(client);
    if (!profile) return;
    for (const { topic, qos } of subscriptions) {
      const channel = downChannels.find((name) => topic === topicOf(profile, name));
      if (channel === undefined || (qos as number) === 128) continue;
      options.onSubscribed(profile, channel, session);
    }
  });
  broker.on('unsubscribe', (topicNames: string[], client: Client) => {
    const { profile, subscriptions } = connectionOf(client);
    if (!profile || client.closed) return;
    for (const channel of downChannels)
      if (topicNames.includes(topicOf(profile, channel))) subscriptions.delete(channel);
  });
  broker.on('ping', (_packet, client: Client) => packetSeen(client));
  broker.on('ack', (kept, client: Client) => {
    packetSeen(client);
    const connection = connectionOf(client);
    const { profile, unacknowledged } = connection;
    connection.unconfirmed = Math.max(0, connection.unconfirmed - 1);
    const sent = client.clean ? unacknowledged.shift() : (kept as Sent | undefined);
    if (!profile || !sent) return;
    const channel = downChannels.find((name) => sent.topic === topicOf(profile, name));
    if (channel !== undefined) options.onAcknowledged(profile, channel, sent.payload.toString());
  });
  broker.on('clientError', (client: Client, error: Error) =>
    log.debug({ clientId: client.id, err: error }, 'connection of a device broke'),
  );
  broker.on('connectionError', (_client: Client, error: Error) =>
    log.debug({ err: error }, 'a connection broke before it was one'),
  );

  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.setNoDelay(true);
    const client = broker.handle(socket);
    // aedes tells of the end of a client only as long as no other of the same id has taken its place in a table.
    socket.once('close', () => onGone(client));
    socket.on('readable', () => {
      if (socket.bytesRead - connectionOf(client).bytesSeen <= options.maxPacketBytes) return;
      log.warn(
        { clientId: client.id, bytes: options.maxPacketBytes },
        'a connection was closed: its packet is larger than any may be',
      );
      socket.destroy();
    });
  });
  const send: DeviceBroker['send'] = async (device, channel, { payload }) => {
    const client = online.get(device.deviceId);
    const connection = client && connectionOf(client);
    if (
      !client ||
      !connection ||
      client.closed ||
      !connection.subscriptions.has(channel) ||
      connection.profile?.tenant !== device.tenant
    )
      return undefined;
    if (connection.unconfirmed >= maxUnconfirmed) {
      log.warn(
        { deviceId: device.deviceId },
        'a connection was closed: the device confirms nothing of what it is sent',
      );
      client.close();
      return undefined;
    }
    const sent: Sent = { topic: topicOf(device, channel), payload: Buffer.from(payload) };
    if (connection.subscriptions.get(channel) !== 0) {
      connection.unconfirmed += 1;
      if (client.clean) connection.unacknowledged.push(sent);
    }
    client.publish(
      {
        cmd: 'publish',
        ...sent,
        qos: 1,
        dup: false,
        retain: false,
      },
      (error) => {
        if (error) log.debug({ deviceId: device.deviceId, err: error }, 'a message to a device was not written');
      },
    );
    return connection.session;
  };

  return {
    async start() {
      await new Promise<void>((resolve, reject) => {
        server.once('error', (error) => reject(portError(error, { name: 'mqtt', ...options })));
        server.listen(options.port, options.host, resolve);
      });
    },
    async ready() {
      if (!server.listening) throw new Error('the MQTT broker does not listen');
    },
    port: () => (server.address() as AddressInfo).port,
    send,
    connections: () => [...online.values()].map(connectionOf),
    kick(device) {
      const client = online.get(device.deviceId);
      if (client && connectionOf(client).profile?.tenant === device.tenant) client.close();
    },
    async stop() {
      if (stopping) return;
      stopping = true;
      const closed = new Promise((resolve) => server.close(resolve));
      await new Promise<void>((resolve) => broker.close(resolve));
      for (const socket of sockets) socket.destroy();
      if (server.listening) await closed;
      for (const client of online.values()) onGone(client);
    },
  };
}
