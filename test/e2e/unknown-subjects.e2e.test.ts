/** Subscriptions to what does not exist, through the gateway, over each of its transports. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { createErrorLog } from '../world/error-lines.js';
import { startPlatform, type TestPlatform } from '../world/platform.js';

const { log, lines } = createErrorLog();
let platform: TestPlatform;
beforeAll(async () => {
  // Longer than any test waits: whatever is refused here is refused at once.
  platform = await startPlatform({ CONSISTENCY_TIMEOUT_MS: '120000' }, log);
});
afterAll(() => platform[Symbol.asyncDispose]());

const refused = [
  ['subscription { deviceState(deviceId: "nope") { presence { online } device { id name } } }', 'deviceState'],
  ['subscription { deviceState(deviceId: "") { cursor } }', 'deviceState'],
  ['subscription { deviceTwin(deviceId: "nope") { twin { inSync } } }', 'deviceTwin'],
  ['subscription { telemetry(deviceId: "nope") { device { name } readings { value } } }', 'telemetry'],
  ['subscription { command(id: "nope") { status } }', 'command'],
  ['subscription { command(id: "") { status command { name } } }', 'command'],
] as const;

/** What a request for a stream is answered with, to its end. */
async function streamed(accept: string, query: string): Promise<string> {
  const response = await fetch(`${platform.gateway}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await platform.token('acme')}`,
      accept,
    },
    body: JSON.stringify({ query }),
    signal: AbortSignal.timeout(15_000),
  });
  return response.text();
}

describe.each(refused)('%s', (query, field) => {
  const since = Buffer.from(JSON.stringify({ t: 'acme', k: field, s: '0' })).toString('base64url');
  const resumed = query.replace('")', `", since: "${since}")`);

  test('is NOT_FOUND over WebSocket, also behind a cursor', async () => {
    for (const operation of [query, resumed]) {
      const subscriber = await platform.subscribe(operation);
      await eventually(() => expect(subscriber.failure()).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]));
      expect(subscriber.received).toEqual([]);
    }
  });

  test('is NOT_FOUND as Server-Sent Events', async () => {
    const text = await streamed('text/event-stream', query);
    expect(text).toMatch(/"code":"NOT_FOUND"/);
    expect(text).not.toMatch(new RegExp(`"${field}":\\{`));
  });

  test('is NOT_FOUND as multipart', async () => {
    const text = await streamed('multipart/mixed;subscriptionSpec="1.0", application/json', query);
    expect(text).toMatch(/"code":"NOT_FOUND"/);
    expect(text).not.toMatch(new RegExp(`"${field}":\\{`));
  });
});

test('what was registered or sent a moment ago is there without a consistency token', async () => {
  for (let turn = 0; turn < 5; turn += 1) {
    const { id } = await platform.registerDevice({ name: `New ${turn}` });
    const followed = await Promise.all(
      [
        'subscription S($id: ID!) { deviceState(deviceId: $id) { device { name } } }',
        'subscription S($id: ID!) { deviceTwin(deviceId: $id) { device { name } } }',
        'subscription S($id: ID!) { telemetry(deviceId: $id) { device { name } } }',
      ].map((query) => platform.subscribe<Record<string, { device: { name: string } }>>(query, { id })),
    );
    const { sendCommand } = await platform.data<{ sendCommand: { command: { id: string } } }>(
      'mutation S($id: ID!) { sendCommand(input: { deviceId: $id, name: "open" }) { command { id } } }',
      { id },
    );
    const command = await platform.subscribe<{ command: { status: string } }>(
      'subscription S($id: ID!) { command(id: $id) { status } }',
      { id: sendCommand.command.id },
    );
    await eventually(() => {
      for (const { received, failure } of [...followed, command]) {
        expect(failure()).toBeUndefined();
        expect(received.length).toBeGreaterThan(0);
      }
    });
    const names = followed.map(({ received }) => Object.values(received[0] ?? {})[0]?.device.name);
    expect(names).toEqual(Array.from({ length: 3 }, () => `New ${turn}`));
    for (const subscriber of [...followed, command]) subscriber.stop();
  }
});

test('nothing of this is an error in the log', () => expect(lines).toEqual([]));
