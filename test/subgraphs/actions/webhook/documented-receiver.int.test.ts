/** The receiver that docs/actions.md shows, run as it stands there. */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fencedBlocks, read } from '../../../docs/repository.js';
import { eventually } from '../../../world/eventually.js';
import { freePort } from '../../../world/free-port.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from '../actions-world.js';
import { act, create, deliveriesOf, local, publishRegistered } from './operations.js';

let world: ActionsWorld;
let instance: ActionsInstance;
beforeAll(async () => {
  world = await createActionsWorld();
  instance = await world.startInstance({ ...local, WEBHOOK_RETRY_SECONDS: '0.05' });
});
afterAll(() => world[Symbol.asyncDispose]());

test('it takes what is signed with its secret, once for each id, and refuses the rest', async () => {
  const code = fencedBlocks(read('docs/actions.md'), 'js').find((block) => block.startsWith('// receiver.mjs'));
  if (code === undefined) throw new Error('docs/actions.md shows no receiver');
  const port = await freePort();
  const { webhook, secret } = await create(instance, { url: `http://127.0.0.1:${port}/fleet` });
  const receiver = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    env: { ...process.env, WEBHOOK_SECRET: secret, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let output = '';
    receiver.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await eventually(() => expect(output).toContain('listening'));
    await publishRegistered(world, { deviceId: 'boiler-1' });
    await eventually(async () =>
      expect(await deliveriesOf(instance, webhook.id)).toMatchObject([{ status: 'SUCCEEDED' }]),
    );
    const [delivery] = await deliveriesOf(instance, webhook.id);
    await instance.data('mutation R($id: ID!) { redeliver(id: $id) { delivery { id } } }', { id: delivery?.id });
    await eventually(async () => expect(await deliveriesOf(instance, webhook.id)).toMatchObject([{ attempts: 2 }]));
    expect(output.match(/device\.registered\.v1 boiler-1/g)).toHaveLength(1);

    const unsigned = await fetch(`http://127.0.0.1:${port}/fleet`, { method: 'POST', body: '{}' });
    expect(unsigned.status).toBe(401);
    // Only the new secret signs behind the overlap, and the receiver doesn't have it.
    await act(instance, 'rotateWebhookSecret', webhook.id, 'secret');
    await world.database.pool.query('UPDATE actions.webhooks SET previous_secret_expires_at = now()');
    await publishRegistered(world, { deviceId: 'boiler-2' });
    await eventually(async () =>
      expect((await deliveriesOf(instance, webhook.id))[0]).toMatchObject({ responseStatus: 401 }),
    );
    expect(output).not.toContain('boiler-2');
  } finally {
    receiver.kill('SIGKILL');
  }
});
