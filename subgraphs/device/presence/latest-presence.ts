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
    // By tenant, too: what one says of another's device must not hide what its own tenant says.
    const key = JSON.stringify([message.tenant, message.deviceId]);
    const before = latest.get(key);
    if (!before || message.session > before.session || (message.session === before.session && !message.online))
      latest.set(key, message);
  }
  return [...latest.values()];
}
