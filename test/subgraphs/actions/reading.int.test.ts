import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCursor } from '../../../platform/graphql/page.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld, type As } from './actions-world.js';
import { cancelMutation, commandQuery, read, send, sendMutation, type CommandView } from './operations.js';

let world: ActionsWorld;
let actions: ActionsInstance;
beforeAll(async () => {
  world = await createActionsWorld();
  actions = await world.startInstance();
});
afterAll(() => world[Symbol.asyncDispose]());

interface Page {
  readonly edges: readonly { readonly cursor: string; readonly node: CommandView }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

const pageFields = `edges { cursor node { id deviceId name status } }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor }`;

async function page(variables: Readonly<Record<string, unknown>>, as?: As): Promise<Page> {
  const query = `query List($first: Int, $after: String, $filter: CommandFilter) {
    commands(first: $first, after: $after, filter: $filter) { ${pageFields} } }`;
  return (await actions.data<{ commands: Page }>(query, variables, as)).commands;
}

const idsOf = ({ edges }: Page) => edges.map(({ node }) => node.id);

async function sendMany(deviceId: string, count: number, input: object = {}): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) ids.push((await send(actions, { deviceId, ...input })).command.id);
  return ids;
}

describe('pages', () => {
  test('give every command once, newest first, while new ones are sent in between', async () => {
    const deviceId = await world.register();
    const sent = await sendMany(deviceId, 25);
    const seen: string[] = [];
    let after: string | null = null;
    for (let more = true; more;) {
      const part: Page = await page({ first: 7, after, filter: { deviceId } });
      expect(part.pageInfo.hasPreviousPage).toBe(after !== null);
      expect(part.pageInfo.startCursor).toBe(part.edges[0]?.cursor);
      seen.push(...idsOf(part));
      after = part.pageInfo.endCursor;
      more = part.pageInfo.hasNextPage;
      await sendMany(deviceId, 2);
    }
    expect(seen).toHaveLength(25);
    expect(new Set(seen)).toEqual(new Set(sent));
    const { rows } = await world.database.pool.query<{ id: string }>(
      'SELECT id FROM actions.commands WHERE id = ANY($1) ORDER BY created_at DESC, id DESC',
      [sent],
    );
    expect(seen).toEqual(rows.map(({ id }) => id));
  });

  test('hold commands of one and the same millisecond apart', async () => {
    const deviceId = await world.register();
    const sent = await sendMany(deviceId, 6);
    await world.database.pool.query('UPDATE actions.commands SET created_at = $2 WHERE id = ANY($1)', [
      sent,
      new Date('2026-11-23T08:00:00.123Z'),
    ]);
    const seen: string[] = [];
    let after: string | null = null;
    for (let index = 0; index < 6; index += 1) {
      const part: Page = await page({ first: 1, after, filter: { deviceId } });
      seen.push(...idsOf(part));
      after = part.pageInfo.endCursor;
      expect(part.pageInfo.hasNextPage).toBe(index < 5);
    }
    expect(new Set(seen)).toEqual(new Set(sent));
  });

  test('take filters by device, status and name together', async () => {
    const deviceId = await world.register();
    const [canceled = '', queued = ''] = await sendMany(deviceId, 2, { name: 'reboot' });
    await sendMany(deviceId, 1, { name: 'other' });
    await actions.data(cancelMutation, { input: { id: canceled } });
    expect(idsOf(await page({ filter: { deviceId, name: 'reboot' } }))).toEqual([queued, canceled]);
    expect(idsOf(await page({ filter: { deviceId, name: 'reboot', status: ['CANCELED'] } }))).toEqual([canceled]);
    expect(idsOf(await page({ filter: { deviceId, name: 'reboot', status: 'QUEUED' } }))).toEqual([queued]);
    expect(idsOf(await page({ filter: { deviceId: null, name: 'reboot', status: null } }))).toEqual([queued, canceled]);
  });

  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ['a size of -1', { first: -1 }, 'first'],
    ['a size of 201', { first: 201 }, 'first'],
    ['a cursor that is none', { after: 'nonsense' }, 'after'],
    ['a cursor of another list', { after: encodeCursor('devices:name', ['a', 'b']) }, 'after'],
    ['a cursor with a time that is none', { after: encodeCursor('commands:newest', ['soon', 'b']) }, 'after'],
    [
      'a cursor with a time out of range',
      { after: encodeCursor('commands:newest', ['999999999999999', 'b']) },
      'after',
    ],
    ['a cursor with U+0000', { after: encodeCursor('commands:newest', [1, 'a\u0000']) }, 'after'],
    ['a filter by an impossible device', { filter: { deviceId: 'a\u0000' } }, 'filter.deviceId'],
    ['a filter by no status', { filter: { status: [] } }, 'filter.status'],
    ['a filter by an empty name', { filter: { name: '' } }, 'filter.name'],
  ])('refuse %s with the argument at fault', async (_what, variables, field) => {
    const query = `query List($first: Int, $after: String, $filter: CommandFilter) {
      commands(first: $first, after: $after, filter: $filter) { ${pageFields} } }`;
    const { errors } = await actions.graphql(query, variables);
    expect(errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field });
  });
});

const entities = `query Entities($of: [_Any!]!) { _entities(representations: $of) {
  ... on Command { id status device { id commands(first: 2) { ${pageFields} } } }
  ... on Device { id commands(first: 2, status: [QUEUED]) { ${pageFields} } } } }`;

describe('entities', () => {
  test('of many devices at once each get their own commands', async () => {
    const devices = await Promise.all(Array.from({ length: 8 }, () => world.register()));
    const sent = new Map<string, string[]>();
    for (const [index, deviceId] of devices.entries()) sent.set(deviceId, await sendMany(deviceId, index % 4));
    const of = devices.map((id) => ({ __typename: 'Device', id }));
    const { _entities } = await actions.data<{ _entities: { id: string; commands: Page }[] }>(entities, { of });
    for (const { id, commands } of _entities) {
      const expected = (sent.get(id) ?? []).toReversed();
      expect(idsOf(commands)).toEqual(expected.slice(0, 2));
      expect(commands.pageInfo.hasNextPage).toBe(expected.length > 2);
    }
    expect(_entities.map(({ id }) => id)).toEqual(devices);
  });

  test('have the commands of a device by aliases with different arguments', async () => {
    const deviceId = await world.register();
    const [first = '', second = ''] = await sendMany(deviceId, 2);
    await actions.data(cancelMutation, { input: { id: first } });
    const query = `query E($of: [_Any!]!) { _entities(representations: $of) { ... on Device {
      open: commands(status: [QUEUED, SENT]) { edges { node { id } } }
      ended: commands(status: [CANCELED]) { edges { node { id } } }
      newest: commands(first: 1) { edges { node { id } } pageInfo { endCursor } } } } }`;
    const of = [{ __typename: 'Device', id: deviceId }];
    const { _entities } = await actions.data<{ _entities: Record<'open' | 'ended' | 'newest', Page>[] }>(query, { of });
    expect(_entities.map(({ open, ended, newest }) => [idsOf(open), idsOf(ended), idsOf(newest)])).toEqual([
      [[second], [first], [second]],
    ]);
  });

  test('that do not exist are null, and impossible ids harm nobody beside them', async () => {
    const deviceId = await world.register();
    const { command } = await send(actions, { deviceId });
    const of = [
      { __typename: 'Command', id: command.id },
      { __typename: 'Command', id: randomUUID() },
      { __typename: 'Command', id: 'a\u0000' },
      { __typename: 'Device', id: 'a\u0000' },
    ];
    const { _entities } = await actions.data<{ _entities: ({ commands?: Page; id: string } | null)[] }>(entities, {
      of,
    });
    expect(_entities[0]).toMatchObject({ id: command.id, status: 'QUEUED', device: { id: deviceId } });
    expect(_entities.slice(1, 3)).toEqual([null, null]);
    expect(_entities[3]?.commands?.edges).toEqual([]);
    expect(await read(actions, 'a\u0000')).toBeNull();
  });
});

describe('a tenant', () => {
  test("sees and moves nothing of another's commands, whatever the operation", async () => {
    const theirs = await world.register('globex');
    const { command } = await send(actions, { deviceId: theirs }, { tenant: 'globex' });
    const as = { tenant: 'initech' };

    expect(await read(actions, command.id, as)).toBeNull();
    expect((await page({ filter: { deviceId: theirs } }, as)).edges).toEqual([]);
    expect((await page({}, as)).edges).toEqual([]);
    const globexPage = await page({ first: 1 }, { tenant: 'globex' });
    expect((await page({ after: globexPage.pageInfo.endCursor }, as)).edges).toEqual([]);
    const canceled = await actions.graphql(cancelMutation, { input: { id: command.id } }, as);
    expect(canceled.errors?.[0]?.extensions?.code).toBe('NOT_FOUND');
    const of = [
      { __typename: 'Command', id: command.id },
      { __typename: 'Device', id: theirs },
    ];
    const { _entities } = await actions.data<{ _entities: [null, { commands: Page }] }>(entities, { of }, as);
    expect(_entities[0]).toBeNull();
    expect(_entities[1].commands.edges).toEqual([]);

    expect(await read(actions, command.id, { tenant: 'globex' })).toEqual(command);
  });
});

describe('scopes', () => {
  test.each<[string, string, Readonly<Record<string, unknown>>]>([
    ['command', commandQuery, { id: 'x' }],
    ['commands', '{ commands { edges { cursor } } }', {}],
    ['sendCommand', sendMutation, { input: { deviceId: 'x', name: 'n' } }],
    ['cancelCommand', cancelMutation, { input: { id: 'x' } }],
    ['Device.commands', entities, { of: [{ __typename: 'Device', id: 'x' }] }],
    ['Command by reference', entities, { of: [{ __typename: 'Command', id: 'x' }] }],
  ])('%s is forbidden without its own', async (field, query, variables) => {
    const own = field.endsWith('Command') ? 'command:send' : 'command:read';
    const others = (['command:read', 'command:send', 'device:write', 'event:read'] as const).filter((s) => s !== own);
    const { errors } = await actions.graphql(query, variables, { scopes: others });
    expect(errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
    expect(errors?.[0]?.message).toContain(own);
  });

  test('who may only send reads the command in the reply of the mutation, and nowhere else', async () => {
    const deviceId = await world.register();
    const { command } = await send(actions, { deviceId }, { scopes: ['command:send'] });
    expect(command.status).toBe('QUEUED');
    const { errors } = await actions.graphql(commandQuery, { id: command.id }, { scopes: ['command:send'] });
    expect(errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
  });

  test('without a token nothing is answered', async () => {
    const response = await fetch(`http://127.0.0.1:${actions.role.port()}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ commands { edges { cursor } } }' }),
    });
    expect(response.status).toBe(401);
    const { errors } = (await response.json()) as { errors: { extensions: { code: string } }[] };
    expect(errors[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });
});

test('health, readiness and metrics are served beside the graph', async () => {
  const base = `http://127.0.0.1:${actions.role.port()}`;
  expect((await fetch(`${base}/healthz`)).status).toBe(200);
  expect((await fetch(`${base}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${base}/metrics`)).text()).toContain('fleetgraph_commands_total{status="QUEUED"}');
});
