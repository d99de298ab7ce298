/** The bridge's own account at an external broker: what it listens to, and what it says. Nobody else may do any of it. */
import { downChannels, upChannels, type TopicRule } from './device-topics.js';

/** In front of the filters that all bridges share (MQTT 5.0, section 4.8.2). */
export const sharedGroup = '$share/fleetgraph';

/** What devices say, of all of them. */
const upFilters = upChannels.map((channel) => `fleet/+/+/${channel}`);
/** What the broker tells of its clients. */
const eventFilters = ['connected', 'disconnected', 'subscribed'].map((kind) => `$SYS/brokers/+/clients/+/${kind}`);
const downFilters = downChannels.map((channel) => `fleet/+/+/${channel}`);

/** As rules of a broker: its filters word for word, for the group and for itself; for topics, patterns. */
export const bridgeRules: readonly TopicRule[] = [
  ...[...upFilters, ...eventFilters].flatMap((filter) => [
    { action: 'subscribe' as const, topic: filter },
    { action: 'subscribe' as const, topic: `${sharedGroup}/${filter}` },
  ]),
  ...downFilters.map((topic) => ({ action: 'publish' as const, topic })),
];

/** Whether the bridge may: subscribe to a filter word for word, publish on a topic that a pattern of its rules matches. */
export function isAllowedToBridge(action: TopicRule['action'], topic: string): boolean {
  return action === 'subscribe'
    ? bridgeRules.some((rule) => rule.action === 'subscribe' && rule.topic === topic)
    : downChannels.some((channel) => {
        const [root, tenant, device, ...rest] = topic.split('/');
        return root === 'fleet' && !!tenant && !!device && rest.join('/') === channel && !/[+#]/.test(topic);
      });
}
