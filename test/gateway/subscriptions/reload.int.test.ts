/** A supergraph that asks for other scopes than before, while clients are subscribed. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { openStream, update } from '../transports/stream-world.js';

let world: GatewayWorld;
let sdl: string;
let change: (supergraphSdl: string) => void = () => undefined;
beforeAll(async () => {
  sdl = await readFile(new URL('../../../gateway/supergraph.graphql', import.meta.url), 'utf8');
  world = await startGateway({
    supergraph: {
      read: async () => sdl,
      follow(changed) {
        change = changed;
        return () => undefined;
      },
    },
  });
});
afterAll(() => world[Symbol.asyncDispose]());

test('what a token may not see by the new supergraph ends with FORBIDDEN, over each transport; the rest goes on untouched', async () => {
  const { live } = world.subgraphs;
  const query = 'subscription { deviceState(deviceId: "boiler") { cursor } }';
  const few = await world.socket({ scopes: ['telemetry:read'] });
  const all = await world.socket();
  few.subscribe('state', query);
  few.subscribe('fleet', 'subscription { fleet { cursor } }');
  all.subscribe('state', query);
  const stream = await openStream(world, {
    accept: 'text/event-stream',
    query,
    token: await world.issuer.token('acme', ['telemetry:read']),
  });
  await eventually(() =>
    expect(live.open.map(({ field }) => field).sort()).toEqual(['deviceState', 'deviceState', 'fleet']),
  );
  const before = [...live.open];

  const changed = sdl.replace(': DeviceStateUpdate! @requiresScopes(scopes: [["telemetry:read"]])', (text) =>
    text.replace('telemetry:read', 'device:write'),
  );
  expect(changed === sdl).toBe(false);
  change(changed);

  expect((await few.error('state'))[0]?.extensions?.['code']).toBe('FORBIDDEN');
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(stream.text()).toContain('"code":"FORBIDDEN"');
  await eventually(() => expect(live.open).toHaveLength(2));
  expect(live.open.every((one) => before.includes(one))).toBe(true);
  live.push(update(1));
  live.push(update(2));
  await eventually(() => {
    for (const client of [few, all]) expect(client.types(client === few ? 'fleet' : 'state')).toContain('next');
  });
  expect(few.types('state')).toEqual(['error']);
});
