/** Seven roles, seven processes, started in any order on a database that is empty, comes late, and goes away for a while. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClusterClient, type ClusterClient } from '../world/cluster/cluster-client.js';
import { createCluster, type Cluster } from '../world/cluster/cluster.js';
import { eventually } from '../world/eventually.js';

let cluster: Cluster;
let client: ClusterClient;
beforeAll(async () => {
  cluster = await createCluster();
  client = await createClusterClient(cluster);
});
afterAll(() => cluster[Symbol.asyncDispose]());

const devices = '{ devices(first: 1) { totalCount } }';

test('roles wait, and say so, for a database that is not there yet', async () => {
  cluster.databaseGate.shut();
  const early = cluster.processes.filter(({ role }) => !['device', 'query'].includes(role));
  for (const process of early) process.start();
  for (const process of early) {
    await eventually(() => expect(process.output()).toContain('waiting for the database'), 60_000);
    expect(await process.readiness()).toBeUndefined();
    expect(process.isRunning()).toBe(true);
  }
});

test('all migrate the empty database at once when it comes, each migration once', async () => {
  cluster.databaseGate.open();
  for (const role of ['actions', 'relay', 'projector', 'bridge'] as const) await cluster.one(role).ready();
  const { rows } = await cluster.pool.query<{ applied: number; names: number }>(
    'SELECT count(*)::int AS applied, count(DISTINCT migration_name)::int AS names FROM _prisma_migrations',
  );
  expect(rows[0]?.applied).toBeGreaterThan(0);
  expect(rows[0]?.applied).toBe(rows[0]?.names);
});

test('a gateway that is there before a subgraph is not ready and names what it waits for; it serves what it has', async () => {
  const gateway = cluster.one('gateway');
  const waiting = await eventually(async () => {
    const answer = await gateway.readiness();
    expect(answer?.status, gateway.output()).toBe(503);
    expect(answer?.body).not.toContain('actions');
    return answer;
  });
  for (const role of ['device', 'query'] as const)
    expect(waiting?.body).toContain(`\\"${role}\\" at ${cluster.one(role).url}/graphql (ECONNREFUSED)`);
  expect((await client.ask(devices)).errors?.[0]?.extensions?.code).toBe('UNAVAILABLE');
  expect((await client.ask('{ commands(first: 1) { edges { cursor } } }')).errors).toBeUndefined();
});

test('it is ready, and has the subgraphs, as soon as the last one has come', async () => {
  const gateway = cluster.one('gateway');
  cluster.one('device').start();
  await cluster.one('device').ready();
  await eventually(async () => expect((await gateway.readiness())?.body).not.toContain('device'));
  expect((await gateway.readiness())?.status).toBe(503);
  await cluster.startAll();
  expect(await client.data(devices)).toEqual({ devices: { totalCount: 0 } });
});

test('it stays ready while a subgraph is gone, and gives the rest of the graph', async () => {
  const [gateway, actions] = [cluster.one('gateway'), cluster.one('actions')];
  await actions.kill();
  expect((await client.ask('{ commands(first: 1) { edges { cursor } } }')).errors?.[0]?.extensions?.code).toBe(
    'UNAVAILABLE',
  );
  expect(await client.data(devices)).toEqual({ devices: { totalCount: 0 } });
  expect((await gateway.readiness())?.status).toBe(200);
  actions.start();
  await actions.ready();
  expect((await client.ask('{ commands(first: 1) { edges { cursor } } }')).errors).toBeUndefined();
});

test('while PostgreSQL is away every role that needs it says so; it goes on by itself when PostgreSQL is back', async () => {
  const device = await client.registerDevice('Boiler');
  expect(await client.ingest(device.id, Date.now() - 1_000, { before: 1 })).toBe(true);
  cluster.databaseGate.shut();
  for (const process of cluster.processes.filter(({ role }) => role !== 'gateway')) {
    const answer = await eventually(async () => {
      const now = await process.readiness();
      expect(now?.status, `${process.name}: ${now?.body ?? 'no answer'}`).toBe(503);
      return now;
    });
    expect(answer?.body).toContain(process.role);
  }
  expect((await client.ask(devices)).errors?.[0]?.extensions?.code).toBe('UNAVAILABLE');
  cluster.databaseGate.open();
  for (const process of cluster.processes) await process.ready();
  await eventually(async () => expect(await client.ingest(device.id, Date.now(), { after: 1 })).toBe(true));
  await client.registerDevice('Pump');
  await eventually(async () => {
    expect(
      await client.data('query S($id: ID!) { device(id: $id) { state { metrics { name } } } }', { id: device.id }),
    ).toEqual({ device: { state: { metrics: [{ name: 'after' }, { name: 'before' }] } } });
  });
});

test('told to stop all at once, every role ends well', async () => {
  const codes = await Promise.all(cluster.processes.map((process) => process.stop()));
  expect(codes).toEqual(cluster.processes.map(() => 0));
});
