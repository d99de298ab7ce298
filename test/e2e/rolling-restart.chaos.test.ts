/** As in production, every role is replaced by a new process, in good order or not, while devices publish and a dashboard looks on. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { roleNames } from '../../platform/config/config.js';
import { pause } from '../../platform/lifecycle/wait.js';
import { eventually } from '../world/eventually.js';
import { topic } from '../world/platform-clients.js';
import { hasProduction, startProduction, type Production } from '../world/production.js';

describe.skipIf(!hasProduction())('a role that is replaced under load', () => {
  let production: Production;
  beforeAll(async () => {
    production = await startProduction();
  }, 180_000);
  afterAll(() => production[Symbol.asyncDispose]());

  interface Reading {
    telemetry: { cursor: string; readings: { value: number; at: string }[] };
  }

  /** Subscribes, and again from its last cursor whenever the subscription ends, as a dashboard does. */
  const follow = (deviceId: string) => {
    const values: number[] = [];
    let cursor: string | undefined;
    let following = true;
    let resumed = 0;
    const running = (async () => {
      while (following) {
        const subscriber = await production.subscribe<Reading>(
          'subscription T($id: ID!, $since: String) { telemetry(deviceId: $id, since: $since) { cursor readings { value at } } }',
          { id: deviceId, since: cursor ?? null },
        );
        let seen = 0;
        while (following && subscriber.failure() === undefined) {
          for (const { telemetry } of subscriber.received.slice(seen)) {
            cursor = telemetry.cursor;
            values.push(...telemetry.readings.map(({ value }) => value));
          }
          seen = subscriber.received.length;
          await pause(20);
        }
        for (const { telemetry } of subscriber.received.slice(seen)) {
          cursor = telemetry.cursor;
          values.push(...telemetry.readings.map(({ value }) => value));
        }
        subscriber.stop();
        resumed += 1;
        await pause(200);
      }
    })();
    running.catch(() => undefined);
    return {
      values,
      resumed: () => resumed,
      async stop() {
        following = false;
        await running;
      },
    };
  };

  test('in good order or killed: nothing acknowledged is missing, and a resumed subscription sees each reading once', async () => {
    const device = await production.registerDevice();
    const client = await production.connect(device);
    const dashboard = follow(device.id);
    const startedAt = Date.now();
    let published = 0;
    let publishing = true;
    const load = (async () => {
      while (publishing) {
        await client.publishAsync(
          topic(device, 'telemetry'),
          JSON.stringify({ ts: startedAt + published, values: { n: published } }),
          { qos: 1 },
        );
        published += 1;
        await pause(25);
      }
    })();
    await eventually(() => expect(dashboard.values.length).toBeGreaterThan(10), 30_000);
    const inGoodOrder = roleNames.map((role) => ({ role, killed: false }));
    const killed = (['bridge', 'projector', 'query', 'gateway'] as const).map((role) => ({ role, killed: true }));
    for (const replaced of [...inGoodOrder, ...killed]) {
      const { role } = replaced;
      if (replaced.killed) await production.kill(role);
      else expect([role, await production.stop(role)]).toEqual([role, 0]);
      await production.start(role);
      const before = published;
      await eventually(() => expect(published).toBeGreaterThan(before));
    }
    publishing = false;
    await load;
    await eventually(async () => {
      const { device: found } = await production.data<{ device: { telemetry: { points: { last: number }[] } } }>(
        `query H($id: ID!, $from: DateTime!, $to: DateTime!) {
            device(id: $id) { telemetry(metric: "n", from: $from, to: $to, maxPoints: 5000) { points { last } } }
          }`,
        {
          id: device.id,
          from: new Date(startedAt).toISOString(),
          to: new Date(startedAt + published).toISOString(),
        },
      );
      expect(found.telemetry.points.map(({ last }) => last)).toEqual(
        Array.from({ length: published }, (_unused, index) => index),
      );
    }, 60_000);
    // The dashboard may have begun after the first of them; from there on it has each, once.
    await eventually(() => expect(dashboard.values.at(-1)).toBe(published - 1), 60_000);
    await dashboard.stop();
    expect([...dashboard.values].sort((a, b) => a - b)).toEqual(
      Array.from({ length: dashboard.values.length }, (_unused, index) => published - dashboard.values.length + index),
    );
    expect(dashboard.resumed()).toBeGreaterThan(1);
  }, 300_000);
});
