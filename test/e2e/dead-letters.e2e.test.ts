/** `fleetgraph dead-letters`, as an operator types it, against the platform. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storeDeadLetter } from '../../backbone/consumer/dead-letters.js';
import { encode, makeEvent } from '../../backbone/events/envelope.js';
import { runCli } from '../world/cli.js';
import { eventually } from '../world/eventually.js';
import { startPlatform, type TestPlatform } from '../world/platform.js';

let platform: TestPlatform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform[Symbol.asyncDispose]());

async function cli(...args: readonly string[]) {
  const token = await platform.token('acme');
  const running = runCli(['dead-letters', ...args, '--gateway', platform.gateway, '--token', token], {});
  return { code: await running.exited, output: running.output() };
}

test('letters are listed, replayed by their cause and discarded by their id', async () => {
  for (const [offset, cause] of ['mended since', 'mended since', 'hopeless'].entries()) {
    const event = makeEvent({
      source: '/device',
      type: 'io.fleetgraph.device.registered.v1',
      subject: `cli-${offset}`,
      tenant: 'acme',
      id: randomUUID(),
      data: { deviceId: `cli-${offset}`, name: 'B', typeId: 'generic', labels: {} },
    });
    const record = {
      ...encode(event),
      topic: 'fleetgraph.events',
      partition: 0,
      offset: BigInt(offset) + 1_000n,
      timestampMs: 0,
    };
    await storeDeadLetter(platform.database.pool, {
      consumer: 'actions-targets',
      record,
      cause: new Error(cause),
      attempts: 3,
    });
  }
  const listed = await cli('list', '--json');
  expect(listed.code, listed.output).toBe(0);
  const letters = listed.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; cause: string; payload: string });
  expect(letters.map(({ cause }) => cause).sort()).toEqual(['hopeless', 'mended since', 'mended since']);
  expect(letters.every(({ payload }) => payload.includes('cli-'))).toBe(true);

  expect(await cli('replay', '--cause', 'mended')).toMatchObject({
    code: 0,
    output: expect.stringContaining('2 dead letters') as string,
  });
  await eventually(async () => {
    const { rows } = await platform.database.pool.query(
      `SELECT 1 FROM actions.command_targets WHERE device_id LIKE 'cli-%'`,
    );
    expect(rows).toHaveLength(2);
  });
  const hopeless = letters.find(({ cause }) => cause === 'hopeless')?.id ?? '';
  expect(await cli('discard', hopeless)).toMatchObject({
    code: 0,
    output: expect.stringContaining('1 dead letters') as string,
  });
  expect((await cli('list', '--status', 'DISCARDED')).output).toContain(`${hopeless}  DISCARDED  actions-targets`);
});

test('nothing is moved without being named', async () => {
  const { code, output } = await cli('replay');
  expect(code).toBe(78);
  expect(output).toContain('Name the dead letters');
});
