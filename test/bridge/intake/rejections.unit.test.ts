/** What is kept of refused messages: enough to see what is wrong, never so much that a fleet gone mad fills memory or log. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createRejections, type Rejections } from '../../../bridge/intake/rejections.js';
import { createLogger } from '../../../platform/observability/logger.js';
import { silentLog } from '../../world/database.js';

const rejection: Omit<Parameters<Rejections['add']>[0], 'payload'> = {
  tenant: 'acme',
  deviceId: 'd',
  transport: 'mqtt',
  topic: 'fleet/acme/d/telemetry',
  message: 'no',
  reason: 'malformed_json',
};

function usedHeap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('the newest 1,000 are kept, newest first, each tenant sees its own', () => {
  const rejections = createRejections({ log: silentLog, metrics: new Registry() });
  for (let n = 0; n < 1_500; n += 1)
    rejections.add({ ...rejection, tenant: n % 2 === 0 ? 'acme' : 'rival', payload: String(n) });
  const samples = (tenant: string) => rejections.recent(tenant).map(({ sample }) => Number(sample));
  expect(samples('acme')).toEqual(Array.from({ length: 500 }, (_unused, index) => 1_498 - 2 * index));
  expect(samples('rival')).toHaveLength(500);
  expect(samples('nobody')).toEqual([]);
});

test.each<[string, (text: string) => string | Buffer]>([
  ['text', (text) => text],
  ['bytes', (text) => Buffer.from(text)],
])('the sample of %s is short, printable and says where a message begins', (_what, payloadOf) => {
  const rejections = createRejections({ log: silentLog, metrics: new Registry() });
  rejections.add({ ...rejection, payload: payloadOf(`{"a": "\u0007\n\u001b[31m${'x'.repeat(5_000)}`) });
  const sample = rejections.recent('acme')[0]?.sample ?? '';
  expect(sample).toMatch(/^\{"a": "···\[31mx+$/);
  expect(sample).toHaveLength(256);
});

test('a long topic is kept and logged in part only', () => {
  const rejections = createRejections({ log: silentLog, metrics: new Registry() });
  rejections.add({ ...rejection, topic: 't'.repeat(60_000), payload: '' });
  expect(rejections.recent('acme')[0]?.topic).toBe('t'.repeat(256));
});

test('what is kept of a large body does not hold on to the body', () => {
  const fill = (rejections: Rejections): void => {
    for (let n = 0; n < 100; n += 1) {
      // As a line of a body is: a part of one large text.
      const body = `${n}${'0123456789'.repeat(100_000)}`.slice(0).toLowerCase();
      rejections.add({
        ...rejection,
        topic: body.slice(1, 60_000),
        deviceId: body.slice(0, 128),
        payload: body.slice(0, 900_000),
      });
    }
  };
  const rejections = createRejections({ log: silentLog, metrics: new Registry() });
  const before = usedHeap();
  fill(rejections);
  expect(usedHeap() - before).toBeLessThan(10_000_000);
  expect(rejections.recent('acme')).toHaveLength(100);
});

test('the log has a line for the first of each reason, not one for each message', () => {
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const log = createLogger({ level: 'warn', pretty: false, destination });
  const rejections = createRejections({ log, metrics: new Registry() });
  for (let n = 0; n < 1_000; n += 1)
    rejections.add({ ...rejection, reason: n % 2 === 0 ? 'malformed_json' : 'foreign_topic', payload: '{' });
  expect(lines.map((line) => (JSON.parse(line) as { reason: string }).reason)).toEqual([
    'malformed_json',
    'foreign_topic',
  ]);
});
