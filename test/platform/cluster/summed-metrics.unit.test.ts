/** The metrics of several processes as those of one. */
import fc from 'fast-check';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createSummedMetrics, metricsOf } from '../../../platform/cluster/summed-metrics.js';

function startProcess() {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    requests: new Counter({ name: 'requests_total', help: 'Requests.', labelNames: ['outcome'], registers }),
    seconds: new Histogram({ name: 'request_seconds', help: 'Time.', buckets: [0.1, 1], registers }),
    sockets: new Gauge({ name: 'sockets', help: 'Open sockets.', registers }),
    lag: new Gauge({ name: 'nodejs_eventloop_lag_p99_seconds', help: 'Lag.', registers, aggregator: 'average' }),
  };
}

function value(text: string, line: string): number {
  const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1) ?? Number.NaN);
}

test('counters, histograms and gauges are added up; of delays the longest counts', async () => {
  const [one, other] = [startProcess(), startProcess()];
  one.requests.inc({ outcome: 'ok' }, 3);
  other.requests.inc({ outcome: 'ok' }, 4);
  other.requests.inc({ outcome: 'error' }, 1);
  for (const seconds of [0.05, 0.5]) one.seconds.observe(seconds);
  other.seconds.observe(0.05);
  one.sockets.set(10);
  other.sockets.set(5);
  one.lag.set(0.01);
  other.lag.set(0.3);
  const text = await createSummedMetrics().text([await metricsOf(one.registry), await metricsOf(other.registry)]);
  expect(value(text, 'requests_total{outcome="ok"}')).toBe(7);
  expect(value(text, 'requests_total{outcome="error"}')).toBe(1);
  expect(value(text, 'request_seconds_bucket{le="0.1"}')).toBe(2);
  expect(value(text, 'request_seconds_bucket{le="+Inf"}')).toBe(3);
  expect(value(text, 'request_seconds_count')).toBe(3);
  expect(value(text, 'sockets')).toBe(15);
  expect(value(text, 'nodejs_eventloop_lag_p99_seconds')).toBe(0.3);
});

test('what a process has counted stays when it dies, and what it had open does not', async () => {
  const summed = createSummedMetrics();
  const [one, other] = [startProcess(), startProcess()];
  one.requests.inc({ outcome: 'ok' }, 3);
  one.sockets.set(10);
  other.requests.inc({ outcome: 'ok' }, 4);
  other.sockets.set(5);
  summed.retire(await metricsOf(one.registry));
  const text = await summed.text([await metricsOf(other.registry)]);
  expect(value(text, 'requests_total{outcome="ok"}')).toBe(7);
  expect(value(text, 'sockets')).toBe(5);
});

test('a sum never goes back, whichever process dies', async () => {
  const step = fc.record({ index: fc.nat(2), count: fc.nat(5), dies: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const summed = createSummedMetrics();
      const processes = [startProcess(), startProcess(), startProcess()];
      let total = 0;
      for (const { index, count, dies } of steps) {
        const process_ = processes[index] ?? startProcess();
        process_.requests.inc({ outcome: 'ok' }, count);
        process_.seconds.observe(0.5);
        total += count;
        if (dies) {
          summed.retire(await metricsOf(process_.registry));
          processes[index] = startProcess();
        }
        const text = await summed.text(await Promise.all(processes.map(({ registry }) => metricsOf(registry))));
        expect(value(text, 'requests_total{outcome="ok"}') || 0).toBe(total);
      }
    }),
    { numRuns: 30 },
  );
});
