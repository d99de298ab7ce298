/** The MQTT topics of a device: `fleet/{tenant}/{device}/…`. The bridge and the broker's authorisation both go by this. */

/** What a device publishes. */
export const upChannels = ['telemetry', 'state', 'event', 'presence', 'command/ack'] as const;
export type UpChannel = (typeof upChannels)[number];

/** What a device subscribes to: commands, its desired state, what of that is left to do, and what rules tell it. */
export const downChannels = ['command', 'desired', 'delta', 'message'] as const;
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

/** What somebody may do: the one list that the embedded broker, EMQX and its authoriser go by. Everything else is denied. */
export interface TopicRule {
  readonly action: 'publish' | 'subscribe';
  /** A topic or, to subscribe, a filter: as it stands, without wildcards of its own. */
  readonly topic: string;
}

/** What a device may do: publish up, subscribe down, on its own topics. Nothing for one whose topics would not be its own. */
export function deviceRules(device: DeviceAddress): readonly TopicRule[] {
  if (![device.tenant, device.deviceId].every(isTopicLevel)) return [];
  return [
    ...upChannels.map((channel) => ({ action: 'publish' as const, topic: topicOf(device, channel) })),
    ...downChannels.map((channel) => ({ action: 'subscribe' as const, topic: topicOf(device, channel) })),
  ];
}

/** Whether the device may publish or subscribe to the topic: its own only, up for publish, down for subscribe; no wildcards. */
export function isAllowed(device: DeviceAddress, action: TopicRule['action'], topic: string): boolean {
  const channels = action === 'publish' ? upChannels : downChannels;
  return (
    isTopicLevel(device.tenant) &&
    isTopicLevel(device.deviceId) &&
    channels.some((channel) => topic === topicOf(device, channel))
  );
}

/** Whether it is one level of a topic and no wildcard (MQTT 5.0, section 4.7). */
function isTopicLevel(name: string): boolean {
  return name !== '' && !/[/+#\0]/.test(name);
}
