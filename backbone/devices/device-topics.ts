/** The MQTT topics of a device: `fleet/{tenant}/{device}/…`. The bridge and the broker's authorisation both go by this. */

/** What a device publishes. */
export const upChannels = ['telemetry', 'state', 'event', 'presence', 'command/ack'] as const;
export type UpChannel = (typeof upChannels)[number];

/** What a device subscribes to: commands, and its desired state. */
export const downChannels = ['command', 'desired'] as const;
export type DownChannel = (typeof downChannels)[number];

export interface DeviceAddress {
  readonly tenant: string;
  readonly deviceId: string;
}

export function topicOf(device: DeviceAddress, channel: UpChannel | DownChannel): string {
  return `fleet/${device.tenant}/${device.deviceId}/${channel}`;
}

/** Takes a topic apart; undefined if it isn't one that devices publish on. */
export function parseUpTopic(topic: string): (DeviceAddress & { readonly channel: UpChannel }) | undefined {
  const match = /^fleet\/([^/+#]+)\/([^/+#]+)\/(.+)$/.exec(topic);
  const channel = upChannels.find((name) => name === match?.[3]);
  return match?.[1] === undefined || match[2] === undefined || channel === undefined
    ? undefined
    : { tenant: match[1], deviceId: match[2], channel };
}

/** Whether the device may publish or subscribe to the topic: its own only, up for publish, down for subscribe; no wildcards. */
export function isAllowed(device: DeviceAddress, action: 'publish' | 'subscribe', topic: string): boolean {
  const channels = action === 'publish' ? upChannels : downChannels;
  return channels.some((channel) => topic === topicOf(device, channel));
}
