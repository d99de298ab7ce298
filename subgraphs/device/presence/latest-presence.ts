export interface PresenceMessage {
  readonly deviceId: string;
  readonly tenant: string;
  readonly online: boolean;
  /** Grows with each connection of the device. */
  readonly session: number;
}

/** Of several messages the one of each device that holds: of the newest connection, and offline once it was. */
export function latestPresence(messages: readonly PresenceMessage[]): readonly PresenceMessage[] {
  const latest = new Map<string, PresenceMessage>();
  for (const message of messages) {
    const before = latest.get(message.deviceId);
    if (!before || message.session > before.session || (message.session === before.session && !message.online))
      latest.set(message.deviceId, message);
  }
  return [...latest.values()];
}
