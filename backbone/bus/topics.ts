import type { TopicOptions } from './event-bus.js';

export const topics = {
  /** Domain events, from the relay. Key: aggregate id. */
  events: 'fleetgraph.events',
  /** Readings, from the bridge. Key: device id. */
  telemetry: 'fleetgraph.telemetry',
  /** Everything else that devices say (presence, command acks, reported state, events), at a rate consumers can scan. Key: device id. */
  signals: 'fleetgraph.signals',
  /** Projection changes, from the projector. Key: entity id. */
  changes: 'fleetgraph.changes',
} as const;

/** The topics with their partitions and retention, for `EventBus.ensureTopics`. */
export function topicOptions(settings: { partitions: number; retentionMs: number }): readonly TopicOptions[] {
  return Object.values(topics).map((name) => ({ name, ...settings }));
}
