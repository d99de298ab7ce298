/**
 * The connection on which the bridge speaks to devices through an external broker, and hears who listens. Its session ends
 * with it: what it hears is only worth something now.
 */
import { connect, type IClientOptions, type IPublishPacket } from 'mqtt';
import { topicOf, type DeviceAddress, type DownChannel } from '../../../backbone/devices/device-topics.js';
import { messageOf } from '../../../platform/errors.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { DownMessage } from '../device-broker.js';

export interface DownConnection {
  /** Publishes with QoS 1. @returns whether somebody listens, and the broker has it. Never rejects. */
  send(device: DeviceAddress, channel: DownChannel, message: DownMessage): Promise<boolean>;
  /** Rejects while it is not connected, with the reason. */
  ready(): void;
  stop(): Promise<void>;
}

export interface DownConnectionOptions {
  readonly url: string;
  readonly login: Pick<IClientOptions, 'username' | 'password' | 'ca'>;
  readonly clientId: string;
  /** What is heard. A broker that refuses some of them merely tells less. */
  readonly topics: readonly string[];
  readonly log: Logger;
  readonly hear: (packet: IPublishPacket) => void;
}

/** MQTT 5.0, section 3.4.2.1: the message is accepted, and there are no matching subscribers. */
const noMatchingSubscribers = 0x10;

export function openDownConnection(options: DownConnectionOptions): DownConnection {
  const { clientId, log } = options;
  let failure: unknown = new Error('it is not connected yet');
  const client = connect(options.url, {
    ...options.login,
    clientId,
    protocolVersion: 5,
    clean: true,
    keepalive: 30,
    connectTimeout: 10_000,
    resubscribe: false,
    reconnectPeriod: 1_000 + Math.floor(Math.random() * 500),
    reconnectOnConnackError: true,
    properties: { sessionExpiryInterval: 0, receiveMaximum: 1_000 },
  });
  client.on('connect', () => {
    failure = undefined;
    client.subscribe([...options.topics], { qos: 0 }, (error) => {
      if (error) log.debug({ clientId, err: error }, 'the broker does not tell all that it was asked to');
    });
  });
  // The promise of a publish resolves to the message itself, with its identifier: what the broker said of it comes before.
  const unheard = new Set<number>();
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'puback' && packet.reasonCode === noMatchingSubscribers && packet.messageId !== undefined)
      unheard.add(packet.messageId);
  });
  client.on('message', (_topic, _payload, packet) => options.hear(packet));
  client.on('close', () => (failure ??= new Error('the connection was closed')));
  client.on('error', (error) => (failure = error));

  return {
    async send(device, channel, { payload, correlationId, expiresAtMs }) {
      // Kept by us, not by the client: what it stores comes out of order with what is sent again.
      if (!client.connected) return false;
      const expiresInSeconds =
        expiresAtMs === undefined ? undefined : Math.max(1, Math.ceil((expiresAtMs - Date.now()) / 1_000));
      try {
        const sent = await client.publishAsync(topicOf(device, channel), payload, {
          qos: 1,
          properties: {
            ...(expiresInSeconds === undefined ? {} : { messageExpiryInterval: expiresInSeconds }),
            ...(correlationId === undefined
              ? {}
              : { correlationData: Buffer.from(correlationId), responseTopic: topicOf(device, 'command/ack') }),
          },
        });
        const messageId = sent && 'messageId' in sent ? sent.messageId : undefined;
        return messageId === undefined || !unheard.delete(messageId);
      } catch (error) {
        log.warn({ deviceId: device.deviceId, err: error }, 'a message to a device was not sent');
        return false;
      }
    },
    ready() {
      if (failure !== undefined) throw new Error(`${clientId} is not connected: ${messageOf(failure)}`);
    },
    async stop() {
      await client.endAsync(true).catch(() => undefined);
    },
  };
}
