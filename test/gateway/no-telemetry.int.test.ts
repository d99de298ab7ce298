import { expect, test } from 'vitest';
import { startGateway } from './gateway-world.js';

test('nothing of how the gateway is used leaves the machine', async () => {
  await using _world = await startGateway();
  // The only switch that @apollo/gateway has (its index.js reads it when a gateway is made).
  expect(process.env['APOLLO_TELEMETRY_DISABLED']).toBe('true');
});
