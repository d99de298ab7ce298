/**
 * One connection of the bridge to an external broker: MQTT 5, a session that is kept, and acknowledgements that mean
 * "durable".
 *
 * MQTT.js hands one packet at a time to `handleMessage` and writes the PUBACK when its callback is called; waiting there for
 * the bus would cost a round trip for each message. Called with an error, the callback writes no PUBACK and goes on with
 * the next packet (mqtt 5.16.0, build/lib/handlers/publish.js). So it is called at once, with an error, and the PUBACKs
 * are written here, in order, through the client's own `_sendPacket`. Both are internals: the version is pinned in
 * package.json, and test/bridge/mqtt/external proves that a crash before durable has the message come again.
 *
 * Backpressure is the receive maximum: so many messages may be on their way to us unacknowledged, and no more is read.
 */
import { connect, type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt';
import { messageOf } from '../../../platform/errors.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createAcknowledgements, type Acknowledgements } from './acknowledgements.js';

export interface SharedConnectionOptions {
  readonly url: string;
  /** Address, credentials, certificate authority. */
  readonly login: Pick<IClientOptions, 'username' | 'password' | 'ca'>;
  /** Stable over restarts: the broker finds the session by it. */
  readonly clientId: string;
  readonly topics: readonly string[];
  readonly receiveMaximum: number;
  readonly sessionExpirySeconds: number;
  readonly log: Logger;
  /**
   * Called for each network connection, with a signal of its end. What it gives takes a message, in the order of receipt, and
   * resolves when it may be acknowledged. When it rejects, the message and all behind it come again, on a new connection.
   */
  readonly createTake: (gone: AbortSignal) => (packet: IPublishPacket) => Promise<void>;
}

export interface SharedConnection {
  /** Rejects while it is not subscribed, with the reason. */
  ready(): void;
  /** Messages that were received and are not acknowledged. */
  unacknowledged(): number;
  /** Disconnects. The session stays with the broker, for `sessionExpirySeconds`. */
  stop(): Promise<void>;
}

/** The part of the client that writes acknowledgements; not in its types. */
interface PacketWriter {
  _sendPacket(packet: { cmd: 'puback'; messageId: number; reasonCode: number }): void;
}

/** How long a stop waits for what was taken to become durable. */
const drainMs = 5_000;

/** Connects, and again whenever the connection is lost, until it is stopped. */
export function openSharedConnection(options: SharedConnectionOptions): SharedConnection {
  const { clientId, log } = options;
  let failure: unknown = new Error('it is not connected yet');
  let acknowledgements: Acknowledgements | undefined;
  let stopping = false;
  /** Messages in hand, of any QoS, from this connection and those before. */
  let inHand = 0;
  let gone = new AbortController();
  let take = options.createTake(gone.signal);

  const client = connect(options.url, {
    ...options.login,
    clientId,
    protocolVersion: 5,
    clean: false,
    keepalive: 30,
    connectTimeout: 10_000,
    // Subscribed again at each connect, whatever the broker remembers: the topics may be others than last time.
    resubscribe: false,
    reconnectPeriod: 1_000 + Math.floor(Math.random() * 500),
    reconnectOnConnackError: true,
    properties: {
      sessionExpiryInterval: options.sessionExpirySeconds,
      receiveMaximum: options.receiveMaximum,
    },
  });
  const fail = (reason: unknown): void => {
    if (failure === undefined && !stopping)
      log.warn({ clientId, err: reason }, 'the connection to the MQTT broker is lost; connecting again');
    failure = reason;
  };

  // Set before anything can come: a kept session delivers right behind the CONNACK.
  client.handleMessage = (packet: IPublishPacket, callback): void => {
    // Not taken, not acknowledged: it comes again, here or elsewhere.
    if (stopping) {
      callback(packet.qos === 1 ? new Error('stopping') : undefined);
      return;
    }
    const line = acknowledgements;
    const acknowledge =
      packet.qos === 1 && packet.messageId !== undefined ? line?.received(packet.messageId) : undefined;
    // A message of QoS 0 has no flow control: beyond what may be on its way with QoS 1 it is dropped, as it may be.
    if (packet.qos === 0 && inHand >= options.receiveMaximum) {
      callback();
      return;
    }
    inHand += 1;
    const taken = take(packet).finally(() => (inHand -= 1));
    taken.then(
      () => acknowledge?.(),
      (error: unknown) => {
        if (packet.qos === 0 || line !== acknowledgements || stopping) return;
        fail(error);
        log.warn({ clientId, err: error }, 'a message could not be taken; it comes again on a new connection');
        breakConnection(client);
      },
    );
    const goOn = (): void => callback(packet.qos === 1 ? new Error('acknowledged when it is durable') : undefined);
    // Not every broker keeps to the receive maximum (Mosquitto doesn't where its own is unlimited): then the socket waits.
    if (line) line.whenBelow(options.receiveMaximum + 1, goOn);
    else goOn();
  };

  client.on('connect', (connack: IConnackPacket) => {
    gone.abort(new Error('the connection is gone'));
    gone = new AbortController();
    take = options.createTake(gone.signal);
    acknowledgements?.close();
    acknowledgements = createAcknowledgements((messageIds) => {
      if (!client.connected) return;
      client.stream.cork();
      for (const messageId of messageIds)
        (client as unknown as PacketWriter)._sendPacket({ cmd: 'puback', messageId, reasonCode: 0 });
      client.stream.uncork();
    });
    if (!connack.sessionPresent) log.info({ clientId }, 'the MQTT broker has begun a new session');
    client.subscribe([...options.topics], { qos: 1 }, (error, granted) => {
      const refused = granted?.filter(({ qos }) => (qos as number) >= 0x80).map(({ topic }) => topic) ?? [];
      if (!error && refused.length === 0) {
        if (failure !== undefined) log.info({ clientId }, 'subscribed at the MQTT broker');
        failure = undefined;
        return;
      }
      fail(
        new Error(
          `the broker refused the subscription to ${(refused.length > 0 ? refused : options.topics).join(', ')}: ` +
            `allow it to the user of the bridge${error ? ` (${error.message})` : ''}`,
        ),
      );
      // Not at once: the refusal is not likely to have changed.
      setTimeout(() => breakConnection(client), 1_000).unref();
    });
  });
  client.on('close', () => {
    gone.abort(new Error('the connection is gone'));
    acknowledgements?.close();
    fail(failure ?? new Error('the connection was closed'));
  });
  client.on('error', fail);
  client.on('disconnect', (packet) =>
    fail(new Error(`the broker ended the connection, reason ${packet.reasonCode ?? 0}`)),
  );

  return {
    ready() {
      if (failure !== undefined)
        throw new Error(`${clientId} is not subscribed at the MQTT broker: ${messageOf(failure)}`);
    },
    unacknowledged: () => acknowledgements?.count() ?? 0,
    async stop() {
      stopping = true;
      // What was taken becomes durable and is acknowledged first, if that can be.
      const deadline = performance.now() + drainMs;
      while ((acknowledgements?.count() ?? 0) > 0 && client.connected && performance.now() < deadline) await pause(10);
      // DISCONNECT with the session's expiry as it is: it is kept, and so is what was not acknowledged.
      await client.endAsync(false).catch(() => undefined);
      acknowledgements?.close();
    },
  };
}

/** Ends the network connection without a word, as a cable that is pulled; MQTT.js connects again. */
function breakConnection(client: MqttClient): void {
  client.stream.destroy();
}
