import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Records of a topic that a consumer group has not committed yet. */
export interface GroupLag {
  readonly group: string;
  readonly topic: string;
  readonly lag: number;
}

export interface BusMetrics {
  published(topic: string, records: number): void;
  flushed(seconds: number): void;
  publishFailed(): void;
  consumed(group: string, topic: string, records: number): void;
  refused(group: string, topic: string): void;
  skipped(group: string, topic: string, records: number): void;
  partitionsChanged(group: string, kind: 'acquired' | 'released' | 'lost', partitions: number): void;
}

/** The metrics of a bus. `readLag` and `readDepth` are asked at each scrape. One bus for each registry. */
export function createBusMetrics(
  registry: Registry,
  readLag: () => Promise<readonly GroupLag[]>,
  readDepth: () => number,
): BusMetrics {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: readonly string[]) =>
    new Counter({ name: `fleetgraph_bus_${name}`, help, labelNames, registers });
  const published = counter('published_records_total', 'Records made durable.', ['topic']);
  const failed = counter('publish_failures_total', 'Flushes that did not become durable, or not surely.', []);
  const consumed = counter('consumed_records_total', 'Records handled and committed.', ['group', 'topic']);
  const refused = counter('refused_batches_total', 'Batches that a handler rejected and was given again.', [
    'group',
    'topic',
  ]);
  const skipped = counter(
    'skipped_records_total',
    'Records that were past their retention before the group had them.',
    ['group', 'topic'],
  );
  const leases = counter('lease_changes_total', 'Partitions acquired, released and lost by members of this process.', [
    'group',
    'kind',
  ]);
  const publishSeconds = new Histogram({
    name: 'fleetgraph_bus_publish_seconds',
    help: 'Time of one flush to durable.',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2],
    registers,
  });
  new Gauge({
    name: 'fleetgraph_bus_queued_records',
    help: 'Records given to publish that are not durable yet.',
    registers,
    collect() {
      this.set(readDepth());
    },
  });
  new Gauge({
    name: 'fleetgraph_bus_lag_records',
    help: 'Records that a consumer group has not committed yet. Every process says the same: take the maximum.',
    labelNames: ['group', 'topic'],
    registers,
    async collect() {
      // A scrape must not fail because the backbone is away.
      const lags = await readLag().catch(() => undefined);
      if (lags === undefined) return;
      this.reset();
      for (const { group, topic, lag } of lags) this.set({ group, topic }, lag);
    },
  });
  return {
    published: (topic, records) => published.inc({ topic }, records),
    flushed: (seconds) => publishSeconds.observe(seconds),
    publishFailed: () => failed.inc(),
    consumed: (group, topic, records) => consumed.inc({ group, topic }, records),
    refused: (group, topic) => refused.inc({ group, topic }),
    skipped: (group, topic, records) => skipped.inc({ group, topic }, records),
    partitionsChanged: (group, kind, partitions) => leases.inc({ group, kind }, partitions),
  };
}
