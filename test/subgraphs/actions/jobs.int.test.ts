/** Commands to many: one for each selected device, whatever is cut or stopped while they are made, with the job's own progress. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from './actions-world.js';

let world: ActionsWorld;
let actions: ActionsInstance;
beforeAll(async () => {
  world = await createActionsWorld();
  actions = await world.startInstance();
});
afterAll(() => world[Symbol.asyncDispose]());

const progressFields = 'waiting refused queued sent delivered succeeded failed rejected expired canceled';
const jobFields = `id status name parameters selector devices createdAt completedAt progress { ${progressFields} }`;
const sendMany = `mutation M($input: SendCommandsInput!) { sendCommands(input: $input) { job { ${jobFields} } consistencyToken } }`;
const cancelJob = `mutation M($input: CancelCommandJobInput!) { cancelCommandJob(input: $input) { job { ${jobFields} } } }`;

interface JobView {
  readonly id: string;
  readonly status: string;
  readonly devices: number;
  readonly completedAt: string | null;
  readonly progress: Readonly<Record<string, number>>;
}

const start = async (input: Readonly<Record<string, unknown>>, by = actions): Promise<JobView> =>
  (await by.data<{ sendCommands: { job: JobView } }>(sendMany, { input: { name: 'restart', ...input } })).sendCommands
    .job;
const read = async (id: string, tenant = 'acme'): Promise<JobView | null> =>
  (
    await actions.data<{ commandJob: JobView | null }>(
      `query Q($id: ID!) { commandJob(id: $id) { ${jobFields} } }`,
      { id },
      { tenant },
    )
  ).commandJob;
const eventsOf = async (jobId: string) => {
  const { rows } = await world.database.pool.query<{
    type: string;
    actor: string | null;
    data: Record<string, unknown>;
  }>('SELECT type, actor, data FROM events.events WHERE stream = $1 ORDER BY revision', [`command-job-${jobId}`]);
  return rows.map(({ type, ...rest }) => ({ type: type.split('.').at(-2), ...rest }));
};
const commandsOf = async (jobId: string) => {
  const { rows } = await world.database.pool.query<{ id: string; deviceId: string; events: number }>(
    `SELECT c.id, c.device_id AS "deviceId",
       (SELECT count(*)::int FROM events.events e WHERE e.stream = 'command-' || c.id AND e.revision = 1) AS events
     FROM actions.commands c WHERE c.job_id = $1 ORDER BY c.device_id`,
    [jobId],
  );
  return rows;
};

/** Many devices at once, as their events would have made them known. */
async function addDevices(site: string, count: number, typeId = 'generic'): Promise<void> {
  await world.database.pool.query(
    `INSERT INTO actions.command_targets (device_id, tenant, active, revision, type_id, labels)
     SELECT $1 || '-' || lpad(i::text, 6, '0'), 'acme', true, 1, $3, jsonb_build_object('site', $1::text)
     FROM generate_series(1, $2::int) i`,
    [site, count, typeId],
  );
}
const at = (site: string) => ({ labels: [{ key: 'site', equals: site }] });

test('a job sends one command to each selected device, and ends when all of them have', async () => {
  const devices = await Promise.all(
    ['north', 'north', 'south'].map((site) => world.register('acme', randomUUID(), { labels: { town: site } })),
  );
  await world.register('globex', randomUUID(), { labels: { town: 'north' } });
  const gone = await world.register('acme', randomUUID(), { labels: { town: 'north' } });
  await world.decommission(gone);
  await eventually(async () => {
    const { rows } = await world.database.pool.query(
      `SELECT FROM actions.command_targets WHERE labels ? 'town' AND (active OR device_id = $1 AND NOT active)`,
      [gone],
    );
    expect(rows).toHaveLength(5);
    const closed = await world.database.pool.query(
      'SELECT FROM actions.command_targets WHERE device_id = $1 AND NOT active',
      [gone],
    );
    expect(closed.rows).toHaveLength(1);
  });
  const idempotencyKey = randomUUID();
  const input = { selector: { labels: [{ key: 'town', in: ['north'] }] }, parameters: { soft: true }, idempotencyKey };
  const job = await start(input);
  expect(job).toMatchObject({ status: 'RUNNING', devices: 2, parameters: { soft: true }, selector: input.selector });
  await eventually(async () => expect((await read(job.id))?.progress).toMatchObject({ waiting: 0, queued: 2 }));
  const made = await commandsOf(job.id);
  expect(made.map(({ deviceId }) => deviceId)).toEqual(devices.slice(0, 2).sort());

  const [first, second] = made;
  const ack = (command: typeof first, status: string) =>
    world.signal({
      type: 'io.fleetgraph.command.acknowledged.v1',
      data: { commandId: command?.id, deviceId: command?.deviceId, status, at: Date.now() } as never,
    });
  await ack(first, 'SUCCEEDED');
  await eventually(async () => expect((await read(job.id))?.progress).toMatchObject({ queued: 1, succeeded: 1 }));
  expect((await read(job.id))?.status).toBe('RUNNING');
  await ack(second, 'FAILED');
  const done = await eventually(async () => {
    const now = await read(job.id);
    expect(now?.status).toBe('COMPLETED');
    return now;
  });
  expect(done?.progress).toEqual({
    waiting: 0,
    refused: 0,
    queued: 0,
    sent: 0,
    delivered: 0,
    succeeded: 1,
    failed: 1,
    rejected: 0,
    expired: 0,
    canceled: 0,
  });
  expect(await eventsOf(job.id)).toMatchObject([
    { type: 'requested', actor: 'tester', data: { devices: 2, name: 'restart', selector: input.selector } },
    { type: 'completed', data: { jobId: job.id, refused: 0, commands: { SUCCEEDED: 1, FAILED: 1 } } },
  ]);
  expect((await start(input)).id).toBe(job.id);
  expect(await commandsOf(job.id)).toHaveLength(2);
  expect(await read(job.id, 'globex')).toBeNull();
  const listed = await actions.data<{
    commandJobs: { edges: readonly { node: { id: string } }[] };
    commands: { edges: readonly unknown[] };
  }>(
    'query Q($id: ID!) { commandJobs { edges { node { id } } } commands(filter: { jobId: $id }) { edges { node { jobId } } } }',
    { id: job.id },
  );
  expect(listed.commandJobs.edges.map(({ node }) => node.id)).toContain(job.id);
  expect(listed.commands.edges).toEqual([{ node: { jobId: job.id } }, { node: { jobId: job.id } }]);
});

test.each([
  [{ selector: {} }, 'input.selector'],
  [{ selector: { labels: [{ key: 'a' }] } }, 'input.selector.labels[0]'],
  [{ selector: { ids: ['nobody'] } }, 'input.selector'],
  [{ selector: { ids: ['nobody'] }, name: 'a b' }, 'input.name'],
  [{ selector: { ids: ['nobody'] }, maxOpen: 0 }, 'input.maxOpen'],
  [{ selector: { ids: ['nobody'] }, perSecond: 10_001 }, 'input.perSecond'],
  [{ selector: { ids: ['nobody'] }, retry: { maxAttempts: 11 } }, 'input.retry.maxAttempts'],
  [{ selector: { ids: ['nobody'] }, retry: { backoff: 'P1M' } }, 'input.retry.backoff'],
])('the job %j is refused by its field', async (input, field) => {
  const { errors } = await actions.graphql(sendMany, { input: { name: 'restart', ...input } });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field } }]);
});

test('a job is refused when the type of one of its devices does not take the command', async () => {
  const typeId = `oven-${randomUUID()}`;
  await world.defineType(typeId, [
    { name: 'restart', parametersSchema: { type: 'object', properties: { soft: { type: 'boolean' } } } },
  ]);
  await addDevices('mixed', 1);
  await addDevices('mixed-oven', 1, typeId);
  await eventually(async () => {
    const input = { name: 'restart', selector: { typeIds: [typeId] }, parameters: { soft: 'yes' } };
    const { errors } = await actions.graphql(sendMany, { input });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field: 'input.parameters.soft' } }]);
  });
});

test('many thousand devices: connections are cut and an instance leaves, and each gets one command, in no hurry of ours', async () => {
  const count = 5_000;
  await addDevices('plant', count);
  const other = await world.startInstance();
  const began = Date.now();
  const job = await start({ selector: at('plant'), timeToLive: 'PT1H' }, other);
  // The reply does not wait for the commands.
  expect(job.devices).toBe(count);
  expect(Date.now() - began).toBeLessThan(10_000);
  const cut = () =>
    world.database.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'actions' AND pid <> pg_backend_pid()`,
    );
  await eventually(async () => expect((await read(job.id))?.progress['queued']).toBeGreaterThan(0));
  await cut();
  await other.stop();
  await cut();
  await eventually(async () => {
    const now = await actions.graphql<{ commandJob: JobView }>(
      `query Q($id: ID!) { commandJob(id: $id) { ${jobFields} } }`,
      { id: job.id },
    );
    expect(now.data?.commandJob.progress).toMatchObject({ waiting: 0, queued: count });
  }, 30_000);
  const made = await commandsOf(job.id);
  expect(new Set(made.map(({ deviceId }) => deviceId)).size).toBe(count);
  expect(made.every(({ events }) => events === 1)).toBe(true);

  const { cancelCommandJob } = await actions.data<{ cancelCommandJob: { job: JobView } }>(cancelJob, {
    input: { id: job.id },
  });
  expect(cancelCommandJob.job.status).toBe('CANCELED');
  const again = await actions.graphql(cancelJob, { input: { id: job.id } });
  expect(again.errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
  await eventually(async () => {
    const now = await read(job.id);
    expect(now?.progress).toMatchObject({ queued: 0, canceled: count });
    expect(now?.completedAt).not.toBeNull();
  }, 30_000);
  expect((await eventsOf(job.id)).map(({ type }) => type)).toEqual(['requested', 'canceled']);
}, 90_000);

test('no more commands are open, and made a second, than the job allows', async () => {
  await addDevices('slow', 10);
  const slow = await start({ selector: at('slow'), maxOpen: 3, timeToLive: 'PT1H' });
  await eventually(async () => expect((await read(slow.id))?.progress['queued']).toBe(3));
  const [first] = await commandsOf(slow.id);
  await world.signal({
    type: 'io.fleetgraph.command.acknowledged.v1',
    data: { commandId: first?.id ?? '', deviceId: first?.deviceId ?? '', status: 'SUCCEEDED', at: Date.now() },
  });
  await eventually(async () =>
    expect((await read(slow.id))?.progress).toMatchObject({ succeeded: 1, queued: 3, waiting: 6 }),
  );
  await addDevices('paced', 4);
  const paced = await start({ selector: at('paced'), perSecond: 2, timeToLive: 'PT1H' });
  await eventually(async () => expect((await read(paced.id))?.progress['queued']).toBe(4));
  const { rows } = await world.database.pool.query<{ seconds: number }>(
    `SELECT extract(epoch FROM max(created_at) - min(created_at))::float8 AS seconds FROM actions.commands WHERE job_id = $1`,
    [paced.id],
  );
  expect(rows[0]?.seconds).toBeGreaterThan(0.9);
});

test('a command that is tried again says so, with its progress, as signals and the clock move it', async () => {
  const deviceId = await world.register();
  const fields = 'id status attempt progress progressMessage error retryAt';
  const { sendCommand } = await actions.data<{ sendCommand: { command: { id: string } } }>(
    `mutation M($input: SendCommandInput!) { sendCommand(input: $input) { command { ${fields} } } }`,
    { input: { deviceId, name: 'restart', retry: { maxAttempts: 2, answerTimeout: 'PT1S', backoff: 'PT1S' } } },
  );
  const commandId = sendCommand.command.id;
  const now = async () =>
    (await actions.data<{ command: object }>(`query Q($id: ID!) { command(id: $id) { ${fields} } }`, { id: commandId }))
      .command;
  const ids = () => ({ commandId, deviceId, at: Date.now() });
  await world.signal({ type: 'io.fleetgraph.command.dispatched.v1', data: { ...ids(), attempt: 1 } });
  await world.signal({
    type: 'io.fleetgraph.command.progress-reported.v1',
    data: { ...ids(), progress: 40, message: 'half-way \u0000' },
  });
  await eventually(async () =>
    expect(await now()).toMatchObject({ status: 'DELIVERED', progress: 40, progressMessage: 'half-way \uFFFD' }),
  );
  // No word more: the attempt fails, and the next is asked for.
  await eventually(async () =>
    expect(await now()).toMatchObject({ attempt: 2, error: 'no answer within 1 s', progress: null }),
  );
  await world.signal({ type: 'io.fleetgraph.command.dispatched.v1', data: { ...ids(), attempt: 2 } });
  await world.signal({
    type: 'io.fleetgraph.command.acknowledged.v1',
    data: { ...ids(), status: 'SUCCEEDED', attempt: 2 },
  });
  await eventually(async () => expect(await now()).toMatchObject({ status: 'SUCCEEDED', attempt: 2, error: null }));
  const history = await world.history(commandId);
  expect(history.map(({ type }) => type.split('.')[3])).toEqual([
    ...['requested', 'sent', 'delivered', 'progressed', 'attempt-failed', 'retried', 'sent', 'succeeded'],
  ]);
  expect(history[5]?.data).toMatchObject({ name: 'restart', parameters: {}, attempt: 2 });
});
