/** Which labels of `@override` are on: by chance, by a setting, by what a request says, by its token. */
import { generateKeyPair, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { createTokenVerifier } from '../../../platform/identity/verify-token.js';
import { eventually } from '../../world/eventually.js';
import { openSocket, type ProtocolClient } from '../protocol-client.js';
import { startOverrideWorld, type OverrideWorld } from './override-world.js';

async function count({ metrics }: OverrideWorld, name: string, labels: object): Promise<number> {
  const { values } = (await metrics.getSingleMetric(`fleetgraph_gateway_${name}`)?.get()) ?? { values: [] };
  return values.find((value) => JSON.stringify(value.labels) === JSON.stringify(labels))?.value ?? 0;
}
const plansMade = (world: OverrideWorld): Promise<number> =>
  count(world, 'cache_lookups_total', { cache: 'plans', outcome: 'miss' });
const supergraphsApplied = (world: OverrideWorld): Promise<number> =>
  count(world, 'supergraph_updates_total', { outcome: 'applied' });

function subscribe(client: ProtocolClient, id: string, query: string, overrideLabels?: string): void {
  client.send({ type: 'subscribe', id, payload: { query, extensions: { overrideLabels } } });
}

test('percent(x) sends that share of requests to the new subgraph', async () => {
  await using world = await startOverrideWorld();
  const counts = { old: 0, new: 0 };
  for (let index = 0; index < 100; index += 1) {
    const { station } = (await world.ask('{ station { never always share } }')) as {
      readonly station: { readonly share: 'old' | 'new' };
    };
    expect(station).toMatchObject({ never: 'old', always: 'new' });
    counts[station.share] += 1;
  }
  // Beyond these bounds once in 10^8 runs.
  expect(counts.new).toBeGreaterThan(20);
  expect(counts.new).toBeLessThan(80);
  expect(await plansMade(world)).toBe(2);
});

test('an operation without an overridden field has one plan', async () => {
  await using world = await startOverrideWorld({ GATEWAY_OVERRIDE_LABELS_HEADER: 'x-labels' });
  for (const labels of ['named', 'other', 'percent(50)', ''])
    expect(await world.ask('{ plain station { id } }', { 'x-labels': labels })).toEqual({
      plain: 'plain',
      station: { id: 's' },
    });
  expect(await plansMade(world)).toBe(1);
});

test('a label of another name is off unless something turns it on', async () => {
  await using world = await startOverrideWorld();
  const headers = { 'x-labels': 'named', 'override-labels': 'named' };
  expect(await world.ask('{ named station { named } }', headers)).toEqual({ named: 'old', station: { named: 'old' } });
});

test('labels of the setting are on for all requests', async () => {
  await using world = await startOverrideWorld({ GATEWAY_OVERRIDE_LABELS: 'named, unknown, percent(0)' });
  expect(await world.ask('{ named station { named other never } }')).toEqual({
    named: 'new',
    station: { named: 'new', other: 'old', never: 'new' },
  });
  expect(await world.ask('mutation { named }')).toEqual({ named: 'new' });
});

test('labels in the header of the setting are on for that request, and no answer of another is kept for it', async () => {
  await using world = await startOverrideWorld({
    GATEWAY_OVERRIDE_LABELS_HEADER: 'X-Labels',
    GATEWAY_RESPONSE_CACHE_BYTES: '1000000',
  });
  const query = '{ named station { named other } }';
  for (let round = 0; round < 2; round += 1) {
    const [none, one, both] = await Promise.all([
      world.ask(query),
      world.ask(query, { 'x-labels': 'named' }),
      world.ask(query, { 'x-labels': 'other , named' }),
    ]);
    expect(none).toEqual({ named: 'old', station: { named: 'old', other: 'old' } });
    expect(one).toEqual({ named: 'new', station: { named: 'new', other: 'old' } });
    expect(both).toEqual({ named: 'new', station: { named: 'new', other: 'new' } });
  }
  expect(await plansMade(world)).toBe(3);
  // Nor is one kept for it by a cache on the way.
  const { headers } = await fetch(`${world.url}?query=${encodeURIComponent(query)}`, {
    headers: { 'apollo-require-preflight': 'true', 'x-labels': 'named' },
  });
  expect(headers.get('cache-control')).toMatch(/^max-age=\d+, public$/);
  expect(headers.get('vary')).toContain('x-labels');
});

test('labels in the claim of the setting are on for the token', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const names = { issuer: 'https://issuer.test', audience: 'fleetgraph' };
  const verifyToken = createTokenVerifier({ keys: async () => publicKey, ...names, overrideLabelsClaim: 'labels' });
  await using world = await startOverrideWorld({}, verifyToken);
  const askWith = async (claims: Readonly<Record<string, unknown>>): Promise<unknown> => {
    const token = await new SignJWT({ tenant: 'acme', ...claims })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(names.issuer)
      .setAudience(names.audience)
      .setSubject('tester')
      .setExpirationTime('1h')
      .sign(privateKey);
    return world.ask('{ named station { other } }', { authorization: `Bearer ${token}` });
  };
  expect(await askWith({})).toEqual({ named: 'old', station: { other: 'old' } });
  expect(await askWith({ labels: ['named'] })).toEqual({ named: 'new', station: { other: 'old' } });
  expect(await askWith({ labels: 'named other' })).toEqual({ named: 'new', station: { other: 'new' } });
});

test('subscriptions with other labels follow other subgraphs, and their events are joined from there', async () => {
  await using world = await startOverrideWorld({ GATEWAY_OVERRIDE_LABELS_HEADER: 'x-labels' });
  const client = await openSocket(world.url, {});
  subscribe(client, 'off', 'subscription { named }');
  subscribe(client, 'on', 'subscription { named }', 'named');
  subscribe(client, 'joined', 'subscription { watched { id named } }', 'named');
  expect(await client.payload('off')).toEqual({ data: { named: 'old' } });
  expect(await client.payload('on')).toEqual({ data: { named: 'new' } });
  expect(await client.payload('joined')).toEqual({ data: { watched: { id: 's', named: 'new' } } });
  client.socket.terminate();
});

test('over WebSocket labels are not taken from a client where no setting allows it', async () => {
  await using world = await startOverrideWorld();
  const client = await openSocket(world.url, {});
  subscribe(client, 'asks', 'subscription { named }', 'named');
  expect(await client.payload('asks')).toEqual({ data: { named: 'old' } });
  client.socket.terminate();
});

test('a new supergraph has the plans of all outcomes of chance before it is used', async () => {
  await using world = await startOverrideWorld();
  const query = '{ station { share } }';
  for (let index = 0; index < 2; index += 1) await world.ask(query);
  world.relabel('percent(30)');
  await eventually(async () => expect(await supergraphsApplied(world)).toBe(2));
  const before = await plansMade(world);
  for (let index = 0; index < 40; index += 1) await world.ask(query);
  expect(await plansMade(world)).toBe(before);
});

test('a stream that is with the new subgraph stays there while the share grows; one with the old is to come again', async () => {
  await using world = await startOverrideWorld();
  const client = await openSocket(world.url, {});
  const ids = Array.from({ length: 8 }, (_, index) => `s${index}`);
  const shareOf = (id: string): string =>
    (client.payloads(id).at(-1)?.data as { readonly watched: { readonly share: string } }).watched.share;
  for (const id of ids) client.subscribe(id, `subscription { watched { ${id}: id share } }`);
  await Promise.all(ids.map((id) => client.payload(id)));
  world.relabel('percent(100)');
  await eventually(async () => expect(await supergraphsApplied(world)).toBe(2));
  for (const id of ids.filter((each) => shareOf(each) === 'old'))
    expect(await client.error(id)).toMatchObject([{ extensions: { code: 'UNAVAILABLE' } }]);
  const staying = ids.filter((each) => shareOf(each) === 'new');
  await eventually(() => {
    world.emit();
    for (const id of staying) expect(client.payloads(id).length).toBeGreaterThan(1);
  });
  expect(staying.map((id) => client.types(id).includes('error'))).toEqual(staying.map(() => false));
  client.subscribe('again', 'subscription { watched { share } }');
  expect(await client.payload('again')).toEqual({ data: { watched: { share: 'new' } } });
  client.socket.terminate();
});
