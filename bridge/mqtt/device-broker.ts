/** What the bridge needs of an MQTT broker: embedded in this process (embedded-broker.ts), or elsewhere (external/). */
import type { DeviceAddress, DownChannel } from '../../backbone/devices/device-topics.js';
import type { Connection } from './connections.js';

/** A message on its way to a device. */
export interface DownMessage {
  readonly payload: string;
  /** Tells an answer to it, for devices that speak MQTT 5. */
  readonly correlationId?: string;
  /** After this moment (epoch ms) nobody wants it delivered any more. */
  readonly expiresAtMs?: number;
}

export interface DeviceBroker {
  /** Takes what devices say, from now on. @throws StartupError when it can't listen. */
  start(): Promise<void>;
  /** Rejects while devices can't be heard. */
  ready(): Promise<void>;
  /** Port that devices connect to; undefined when they connect elsewhere. */
  port(): number | undefined;
  /**
   * Sends with QoS 1.
   * @returns the session of the device in which the message is on its way; undefined if nobody listens. Never rejects.
   */
  send(device: DeviceAddress, channel: DownChannel, message: DownMessage): Promise<number | undefined>;
  /** What is known of the devices that are connected to this process. */
  connections(): Iterable<Connection>;
  /** Closes the connection of a device, if it has one here. */
  kick(device: DeviceAddress): void;
  /** Takes nothing more. What was taken and is not acknowledged comes again. */
  stop(): Promise<void>;
}

/** What a broker tells of devices beside their messages. */
export interface DownListeners {
  /** A device listens on a topic of its own: it subscribed, or came back to a session in which it had. */
  readonly onSubscribed: (device: DeviceAddress, channel: DownChannel, session: number) => void;
  /** A device has confirmed what it was sent, in this session or one before. */
  readonly onAcknowledged: (device: DeviceAddress, channel: DownChannel, payload: string) => void;
}
