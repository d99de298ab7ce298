/** The clients of docs/subscriptions.md, as they stand there, against a gateway: what they show has neither gap nor repeat. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { FleetgraphError } from '../../platform/errors.js';
import { startGateway, type GatewayWorld } from '../gateway/gateway-world.js';
import { update } from '../gateway/transports/stream-world.js';
import { startTcpGate, type TcpGate } from '../world/cluster/tcp-gate.js';
import { eventually } from '../world/eventually.js';
import { fencedBlocks, read, root } from './repository.js';

interface Watching {
  readonly url: string;
  readonly token: () => Promise<string>;
  readonly query: string;
  readonly deviceId: string;
  readonly show: (update: { readonly cursor: string; readonly device: { readonly name: string } }) => void;
  readonly failed: (error: unknown) => void;
}

interface Example {
  watchDevice(watching: Watching & { readonly link?: unknown }): () => void;
  readonly webSocketLink?: (watching: Watching) => unknown;
  readonly multipartLink?: (watching: Watching) => unknown;
}

const manual = read('docs/subscriptions.md');
/** Inside of node_modules, so that the packages are found that the modules import. */
const folder = join(root, 'node_modules', '.documented-clients');

let world: GatewayWorld;
let gate: TcpGate;
beforeAll(async () => {
  // Browsers have one; Apollo's link asks for it by name.
  Object.assign(globalThis, { WebSocket });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  for (const text of fencedBlocks(manual, 'js')) {
    const name = /^\/\/ (\S+\.js)\n/.exec(text)?.[1];
    if (name === undefined) throw new Error(`The block has no name in its first line: ${text.slice(0, 100)}`);
    await writeFile(join(folder, name), text);
  }
  world = await startGateway();
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
  gate = await startTcpGate({ host: '127.0.0.1', port: world.gateway.port() });
}, 60_000);
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Where each client began to catch up, and what there was to catch up with. */
let begunBehind: unknown[] = [];
let present = update(1);
beforeEach(() => {
  begunBehind = [];
  present = update(1);
  world.subgraphs.live.snapshot = ({ since }) => {
    begunBehind.push(since ?? null);
    return present;
  };
});

const clients: readonly {
  readonly name: string;
  readonly file: string;
  readonly link?: 'webSocketLink' | 'multipartLink';
}[] = [
  { name: 'graphql-ws', file: 'graphql-ws.js' },
  { name: 'Apollo Client over WebSocket', file: 'apollo-client.js', link: 'webSocketLink' },
  { name: 'Apollo Client over HTTP', file: 'apollo-client.js', link: 'multipartLink' },
  { name: 'urql', file: 'urql.js' },
  { name: 'EventSource', file: 'event-source.js' },
];

test.each(clients)(
  '$name: snapshot, live, and resumed after a bad token, a cut and an error that passes; what can not be mended is told',
  async ({ file, link }) => {
    const example = (await import(pathToFileURL(join(folder, file)).href)) as Example;
    const [query = ''] = fencedBlocks(manual, 'graphql');
    const { live } = world.subgraphs;
    const tokens = [await world.issuer.token('acme', undefined, -60)];
    const shown: string[] = [];
    const failures: unknown[] = [];
    const watching: Watching = {
      url: `http://127.0.0.1:${gate.port}/graphql`,
      // The first one has expired.
      token: async () => tokens.shift() ?? world.issuer.token('acme'),
      query,
      deviceId: 'boiler',
      show: ({ cursor, device }) => shown.push(`${cursor} of ${device.name}`),
      failed: (error) => failures.push(error),
    };
    const seen = (...versions: number[]) => versions.map((version) => `cursor-${version} of Boiler 1`);
    const stop = example.watchDevice({ ...watching, ...(link ? { link: example[link]?.(watching) } : {}) });
    try {
      await eventually(() => expect([shown, failures]).toEqual([seen(1), []]));
      live.push(update(2));
      await eventually(() => expect(shown).toEqual(seen(1, 2)));

      gate.shut();
      await eventually(() => expect(live.open).toEqual([]));
      present = update(3);
      gate.open();
      await eventually(() => expect(shown).toEqual(seen(1, 2, 3)));

      present = update(4);
      live.open.at(-1)?.end(new FleetgraphError('RATE_LIMITED', 'Too much at once.'));
      await eventually(() => expect(shown).toEqual(seen(1, 2, 3, 4)));
      expect(begunBehind).toEqual([null, 'cursor-2', 'cursor-3']);

      await eventually(() => expect(live.open).toHaveLength(1));
      live.open.at(-1)?.end(new FleetgraphError('NOT_FOUND', 'There is no such device.'));
      await eventually(() => expect(failures).toHaveLength(1));
      expect(shown).toEqual(seen(1, 2, 3, 4));
    } finally {
      stop();
    }
  },
  40_000,
);

test('every module of the manual is run', () => {
  const names = fencedBlocks(manual, 'js').map((text) => /^\/\/ (\S+)\n/.exec(text)?.[1]);
  expect(new Set(names)).toEqual(new Set(['resume.js', ...clients.map(({ file }) => file)]));
});
