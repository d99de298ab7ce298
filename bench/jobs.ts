/** One command to each of 100,000 devices: how soon they are made, how soon they can be read, what memory it takes. */
import pg from 'pg';
import { createApiClient } from '../cli/api-client.js';
import { pause } from '../platform/lifecycle/wait.js';
import { residentMiB, startPlatformProcess } from './process.js';
import { ratio, round, type Section } from './section.js';

const devices = 100_000;
const batchSize = 500;
/** How long all of it may take. */
const deadlineMs = 600_000;

const readJob = `query J($id: ID!) { commandJob(id: $id) { progress { waiting queued } } }`;

export async function measureJobs(): Promise<Section> {
  await using platform = await startPlatformProcess();
  const client = new pg.Client({ connectionString: platform.databaseUrl });
  await client.connect();
  try {
    await client.query(
      `INSERT INTO actions.command_targets (device_id, tenant, active, revision, type_id, labels)
       SELECT 'bench-' || lpad(i::text, 6, '0'), 'bench', true, 1, 'generic', '{}' FROM generate_series(1, $1::int) i`,
      [devices],
    );
    await client.query('ANALYZE actions.command_targets');
    const plainSeconds = await insertPlainly(client);
    const api = createApiClient({ url: platform.gateway, token: platform.token });
    const before = residentMiB(platform.pid);
    const startedAt = performance.now();
    const { sendCommands } = await api.request<{ sendCommands: { job: { id: string } } }>(
      'mutation M($input: SendCommandsInput!) { sendCommands(input: $input) { job { id } } }',
      { input: { name: 'restart', selector: { typeIds: ['generic'] }, timeToLive: 'PT1H' } },
    );
    const answered = performance.now() - startedAt;
    let [made, readable, most] = [0, 0, before];
    while (readable === 0 && performance.now() - startedAt < deadlineMs) {
      most = Math.max(most, residentMiB(platform.pid));
      const { commandJob } = await api.request<{ commandJob: { progress: { waiting: number } } }>(readJob, {
        id: sendCommands.job.id,
      });
      if (made === 0 && commandJob.progress.waiting === 0) made = performance.now() - startedAt;
      const { rows } = await client.query<{ n: string }>('SELECT count(*) AS n FROM projections.commands');
      if (Number(rows[0]?.n) === devices) readable = performance.now() - startedAt;
      await pause(500);
    }
    const perSecond = (ms: number) => round(devices / (ms / 1_000), 0);
    const plain = perSecond(plainSeconds * 1_000);
    const row = (what: string, ms: number, memory: string) => [
      ...[what, round(ms / 1_000), perSecond(ms), ratio(perSecond(ms), plain), memory],
    ];
    return {
      title: 'A job of commands to many devices',
      method: `One \`sendCommands\` to ${devices.toLocaleString('en-US')} devices that are not connected, everything in one process with the embedded PostgreSQL. The peer writes the same rows of the same two tables, with their indexes, by plain SQL, ${batchSize} devices a transaction, on the same server: no check, no bus, no projection. The reply came after ${Math.round(answered)} ms.`,
      columns: ['way', 'seconds', 'commands/s', 'of plain SQL', 'memory MiB'],
      rows: [
        row('plain SQL', plainSeconds * 1_000, '–'),
        row('all commands made, durable', made, `+${Math.round(most - before)} at most`),
        row('all on the bus, in the projection, read by the bridge', readable, ''),
      ],
    };
  } finally {
    await client.end();
  }
}

/** @returns seconds. */
async function insertPlainly(client: pg.Client): Promise<number> {
  await client.query('CREATE SCHEMA bench');
  await client.query('CREATE TABLE bench.commands (LIKE actions.commands INCLUDING ALL)');
  await client.query('CREATE TABLE bench.events (LIKE events.events INCLUDING ALL)');
  const startedAt = performance.now();
  for (let first = 1; first <= devices; first += batchSize) {
    const range = [first, first + batchSize - 1];
    await client.query('BEGIN');
    await client.query(
      `INSERT INTO bench.commands (id, tenant, device_id, name, parameters, status, revision, created_at, updated_at, expires_at)
       SELECT gen_random_uuid()::text, 'bench', 'bench-' || i, 'restart', '{}', 'QUEUED', 1, now(), now(), now() + interval '1 hour'
       FROM generate_series($1::int, $2::int) i`,
      range,
    );
    await client.query(
      `INSERT INTO bench.events (tenant, stream, revision, id, type, source, subject, time, data)
       SELECT 'bench', 'command-' || gen_random_uuid(), 1, gen_random_uuid(), 'io.fleetgraph.command.requested.v1', '/actions',
         'bench-' || i, now(), jsonb_build_object('commandId', gen_random_uuid(), 'deviceId', 'bench-' || i, 'name', 'restart',
           'parameters', '{}'::jsonb, 'expiresAt', now())
       FROM generate_series($1::int, $2::int) i`,
      range,
    );
    await client.query('COMMIT');
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  await client.query('DROP SCHEMA bench CASCADE');
  return seconds;
}
