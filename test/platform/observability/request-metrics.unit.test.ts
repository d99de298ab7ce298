import fc from 'fast-check';
import { AggregatorRegistry, Counter, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createRequestCounter, createRequestHistogram } from '../../../platform/observability/request-metrics.js';

const options = {
  name: 'seconds',
  help: 'Time.',
  labelNames: ['subgraph', 'type'] as const,
  buckets: [0.1, 0.5, 2],
};
const observation = fc.record({
  subgraph: fc.constantFrom('device', 'query "new"\n', ''),
  type: fc.constantFrom('read', 'write'),
  value: fc.oneof(fc.constantFrom(0, 0.1, 0.5, 2), fc.double({ min: 0, max: 5, noNaN: true })),
});

function observed(observations: readonly { subgraph: string; type: string; value: number }[]) {
  const [fast, plain] = [new Registry(), new Registry()];
  const ours = createRequestHistogram({ ...options, registry: fast });
  const ourCounter = createRequestCounter({ ...options, name: 'requests_total', registry: fast });
  const peer = new Histogram({ ...options, buckets: [...options.buckets], registers: [plain] });
  const { help, labelNames } = options;
  const peerCounter = new Counter({ name: 'requests_total', help, labelNames, registers: [plain] });
  for (const { subgraph, type, value } of observations) {
    ours.labels({ subgraph, type }).observe(value);
    ourCounter.labels({ subgraph, type }).inc();
    peer.labels({ subgraph, type }).observe(value);
    peerCounter.labels({ subgraph, type }).inc();
  }
  return { fast, plain };
}

test('they are read as those of prom-client that have counted the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(observation, { minLength: 1 }), async (observations) => {
      const { fast, plain } = observed(observations);
      expect(await fast.metrics()).toBe(await plain.metrics());
    }),
  );
});

test('those of several processes are added up as those of prom-client are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(observation, { minLength: 1 }), { minLength: 1, maxLength: 3 }), async (all) => {
      const processes = all.map(observed);
      const sum = async (of: 'fast' | 'plain') =>
        AggregatorRegistry.aggregate(await Promise.all(processes.map((each) => each[of].getMetricsAsJSON()))).metrics();
      expect(await sum('fast')).toBe(await sum('plain'));
    }),
  );
});
