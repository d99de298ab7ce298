/** What an operator sees while no new supergraph can be had: once in the log, in the metrics, and by the readiness. */
import { buildSubgraphSchema } from '@apollo/subgraph';
import { graphqlSync, parse } from 'graphql';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import pino from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createGatewayRole } from '../../../gateway/gateway.js';
import { composedSupergraph } from '../../../gateway/supergraph/composed-supergraph.js';
import { supergraphFile, type SupergraphSource } from '../../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../../../platform/config/config.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { startSocketSubgraphs } from '../command/subgraphs-on-sockets.js';

interface Line {
  readonly msg: string;
  readonly reason?: string;
}

async function startGateway(source: SupergraphSource) {
  const lines: Line[] = [];
  const metrics = new Registry();
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Line);
      done();
    },
  });
  const role = createGatewayRole({
    config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0', EXPLORER: 'false' }),
    log: pino(stream),
    metrics,
    supergraph: source,
  });
  await role.start();
  const value = async (name: string, labels: object): Promise<number> => {
    const { values } = (await metrics.getSingleMetric(`fleetgraph_gateway_supergraph_${name}`)?.get()) ?? {
      values: [],
    };
    return values.find((each) => JSON.stringify(each.labels) === JSON.stringify(labels))?.value ?? 0;
  };
  return {
    role,
    lines: () => lines.filter(({ msg }) => /supergraph/.test(msg)).map(({ msg, reason }) => reason ?? msg),
    updates: (outcome: string) => value('updates_total', { outcome }),
    lastSuccess: () => value('last_success_timestamp_seconds', {}),
    async readiness(path = 'readyz') {
      const response = await fetch(`http://127.0.0.1:${role.port()}/${path}`);
      return { status: response.status, body: (await response.json()) as Readonly<Record<string, unknown>> };
    },
  };
}

/** One subgraph whose SDL the test sets. */
async function startSubgraph(sdl: string) {
  let current = sdl;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { query } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly query: string };
      const schema = buildSubgraphSchema({ typeDefs: parse('type Query { a: Int }') });
      const answer = query.includes('_service')
        ? { data: { _service: { sdl: current } } }
        : graphqlSync({ schema, source: query });
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    say: (text: string) => (current = text),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('logs subgraphs that stop composing once for each reason, and when they compose again', async () => {
  const good = 'type Query { a: Int }';
  await using subgraph = await startSubgraph(good);
  const gateway = await startGateway(
    composedSupergraph([{ name: 'one', url: subgraph.url }], { log: silentLog, intervalMs: 300 }),
  );
  try {
    expect(await gateway.readiness()).toEqual({ status: 200, body: { status: 'ready' } });
    const polls = async (outcome: string, more: number): Promise<void> => {
      const before = await gateway.updates(outcome);
      await eventually(async () => expect(await gateway.updates(outcome)).toBeGreaterThanOrEqual(before + more));
    };
    subgraph.say('type Query { broken');
    await polls('failed', 3);
    expect(gateway.lines()).toEqual([expect.stringMatching(/^No SDL of the subgraph "one" \(Syntax Error/)]);
    const { status, body } = await gateway.readiness();
    expect([status, body['status']]).toEqual([200, 'ready']);
    expect(body['supergraph']).toMatchObject({ status: 'stale', reason: expect.stringContaining('"one"') as string });
    expect((await gateway.readiness('health')).body['supergraph']).toMatchObject({ status: 'stale' });

    // The SDL that does not compose stays the same: it goes on being told of by the metric and the readiness.
    subgraph.say('type Query { a: Int b: Gone }');
    await eventually(() => expect(gateway.lines()).toHaveLength(2));
    await polls('failed', 3);
    expect(gateway.lines().slice(1)).toEqual([expect.stringMatching(/^The subgraphs do not compose: .*Gone/s)]);
    const failingSince = await gateway.lastSuccess();
    expect((await gateway.readiness()).body['supergraph']).toMatchObject({ status: 'stale' });

    subgraph.say(good);
    await eventually(() => expect(gateway.lines().at(-1)).toBe('supergraph updates work again'));
    expect(await gateway.readiness()).toEqual({ status: 200, body: { status: 'ready' } });
    await eventually(async () => expect(await gateway.lastSuccess()).toBeGreaterThan(failingSince));
    expect(gateway.lines()).toHaveLength(3);

    subgraph.say('type Query { a: Int b: Int }');
    await polls('applied', 1);
    expect(gateway.lines().at(-1)).toBe('the gateway has a new supergraph');
  } finally {
    await gateway.role.stop();
  }
});

test('reports a supergraph file that can not be read, or used, until there is a good one', async () => {
  await using subgraphs = await startSocketSubgraphs();
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-updates-'));
  const path = join(directory, 'supergraph.graphql');
  await writeFile(path, subgraphs.supergraph());
  const file = supergraphFile(path, { intervalMs: 20 });
  const gateway = await startGateway(file);
  const stale = async (): Promise<unknown> => (await gateway.readiness()).body['supergraph'];
  try {
    await rm(path);
    file.reload();
    await eventually(async () =>
      expect(await stale()).toMatchObject({ reason: expect.stringContaining('ENOENT') as string }),
    );
    file.reload();
    file.reload();
    expect(gateway.lines().filter((line) => line.includes("can't be read"))).toHaveLength(1);

    await writeFile(path, 'type Query { a: Int }');
    file.reload();
    await eventually(async () => expect(await gateway.updates('rejected')).toBe(1));
    expect(await stale()).toMatchObject({ reason: expect.stringContaining("The supergraph can't be used") as string });
    file.reload();
    expect(await stale()).toBeDefined();

    await writeFile(path, subgraphs.supergraph('more'));
    file.reload();
    await eventually(async () => expect(await stale()).toBeUndefined());
    expect(gateway.lines().at(-1)).toBe('the gateway has a new supergraph');
  } finally {
    await gateway.role.stop();
    await rm(directory, { recursive: true });
  }
});
