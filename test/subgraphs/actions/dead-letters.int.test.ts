/** Dead letters through the graph: of the caller's tenant, moved once, and handled by their own consumer. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storeDeadLetter } from '../../../backbone/consumer/dead-letters.js';
import { encode, makeEvent } from '../../../backbone/events/envelope.js';
import { eventually } from '../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld, type As } from './actions-world.js';

let world: ActionsWorld;
let instance: ActionsInstance;
beforeAll(async () => {
  world = await createActionsWorld();
  instance = await world.startInstance();
});
afterAll(() => world[Symbol.asyncDispose]());

interface Letter {
  readonly id: string;
  readonly consumer: string;
  readonly status: string;
  readonly cause: string;
  readonly payload: string;
  readonly stack: string | null;
  readonly attempts: number;
  readonly type: string | null;
}

const query = `query Letters($first: Int, $after: String, $filter: DeadLetterFilter) {
  deadLetters(first: $first, after: $after, filter: $filter) {
    edges { node { id consumer status cause payload stack attempts type } } pageInfo { hasNextPage endCursor } } }`;
const replay = `mutation R($input: DeadLettersInput!) { replayDeadLetters(input: $input) { count consistencyToken } }`;
const discard = `mutation D($input: DeadLettersInput!) { discardDeadLetters(input: $input) { count } }`;
type Page = {
  deadLetters: { edges: { node: Letter }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
};

const letters = async (filter: object | null, as: As): Promise<readonly Letter[]> =>
  (await instance.data<Page>(query, { filter }, as)).deadLetters.edges.map(({ node }) => node);

let offset = 0n;
/** Puts the registration of a device aside, as a consumer does. */
async function bury(tenant: string, letter: { consumer?: string; cause?: string; deviceId?: string } = {}) {
  const { consumer = 'actions-targets', cause = 'a defect', deviceId = 'd' } = letter;
  offset += 1n;
  const event = makeEvent({
    source: '/device',
    type: 'io.fleetgraph.device.registered.v1',
    subject: deviceId,
    tenant,
    data: { deviceId, name: 'B', typeId: 'generic', labels: {} },
  });
  const record = { ...encode(event), topic: 'fleetgraph.events', partition: 0, offset, timestampMs: 0 };
  await storeDeadLetter(world.database.pool, { consumer, record, cause: new TypeError(cause), attempts: 3 });
}

test('a letter shows its payload, cause, stack and attempts, to its tenant alone', async () => {
  await bury('t1', { deviceId: 'shown' });
  const [letter] = await letters(null, { tenant: 't1' });
  expect(letter).toMatchObject({
    consumer: 'actions-targets',
    status: 'PENDING',
    cause: 'a defect',
    attempts: 3,
    type: 'io.fleetgraph.device.registered.v1',
  });
  expect(JSON.parse(letter?.payload ?? '')).toMatchObject({ deviceId: 'shown' });
  expect(letter?.stack).toContain('TypeError: a defect');
  expect(await letters(null, { tenant: 't2' })).toEqual([]);
  const foreign = await instance.data<{ replayDeadLetters: { count: number } }>(
    replay,
    { input: { ids: [letter?.id] } },
    { tenant: 't2' },
  );
  expect(foreign.replayDeadLetters.count).toBe(0);
  expect((await letters(null, { tenant: 't1' }))[0]?.status).toBe('PENDING');
});

test('letters of a cause are replayed together, once, and have their effect', async () => {
  const as = { tenant: 'mended' };
  for (const deviceId of ['m1', 'm2']) await bury('mended', { deviceId, cause: `mended since: ${deviceId}` });
  await bury('mended', { consumer: 'nobody', cause: 'something else' });
  const input = { filter: { cause: 'mended since' } };
  type Moved = { replayDeadLetters: { count: number } };
  expect((await instance.data<Moved>(replay, { input }, as)).replayDeadLetters.count).toBe(2);
  expect((await instance.data<Moved>(replay, { input }, as)).replayDeadLetters.count).toBe(0);
  await eventually(async () => expect(await letters({ status: ['REPLAYED'] }, as)).toHaveLength(2));
  const { rows } = await world.database.pool.query(
    `SELECT device_id FROM actions.command_targets WHERE tenant = 'mended' ORDER BY device_id`,
  );
  expect(rows).toEqual([{ device_id: 'm1' }, { device_id: 'm2' }]);
  expect(await letters({ status: ['PENDING'] }, as)).toMatchObject([{ consumer: 'nobody' }]);
});

test('a discarded letter stays so, and who decided it is in the event store', async () => {
  const as = { tenant: 'gone' };
  await bury('gone');
  const [letter] = await letters(null, as);
  const input = { ids: [letter?.id] };
  expect(await instance.data(discard, { input }, as)).toEqual({ discardDeadLetters: { count: 1 } });
  expect(await instance.data(discard, { input }, as)).toEqual({ discardDeadLetters: { count: 0 } });
  expect(await instance.data(replay, { input }, as)).toMatchObject({ replayDeadLetters: { count: 0 } });
  expect((await letters(null, as))[0]?.status).toBe('DISCARDED');
  const { rows } = await world.database.pool.query<{ type: string; actor: string; data: { deadLetterIds: string[] } }>(
    `SELECT type, actor, data FROM events.events WHERE tenant = 'gone' ORDER BY position LIMIT 1`,
  );
  expect(rows).toMatchObject([
    { type: 'io.fleetgraph.dead-letters.discarded.v1', actor: 'tester', data: { deadLetterIds: [letter?.id] } },
  ]);
});

test('pages go through all letters once, and causes are counted', async () => {
  const as = { tenant: 'many' };
  for (let n = 0; n < 7; n += 1) await bury('many', { deviceId: `p${n}`, cause: n < 5 ? 'often' : 'rarely' });
  const seen: string[] = [];
  let after: string | null = null;
  do {
    const page: Page = await instance.data<Page>(query, { first: 3, after }, as);
    seen.push(...page.deadLetters.edges.map(({ node }) => node.id));
    after = page.deadLetters.pageInfo.hasNextPage ? page.deadLetters.pageInfo.endCursor : null;
  } while (after !== null);
  expect(new Set(seen).size).toBe(7);
  expect(seen).toHaveLength(7);
  expect(await instance.data('{ deadLetterCauses { cause count } }', {}, as)).toEqual({
    deadLetterCauses: [
      { cause: 'often', count: 5 },
      { cause: 'rarely', count: 2 },
    ],
  });
});

test.each([
  [{}, 'input'],
  [{ ids: ['x'], filter: {} }, 'input'],
  [{ ids: [] }, 'input.ids'],
  [{ ids: ['x'] }, 'input.ids[0]'],
  [{ filter: {} }, 'input.filter'],
  [{ filter: { cause: '' } }, 'input.filter.cause'],
])('%j is refused, naming %s', async (input, field) => {
  for (const mutation of [replay, discard])
    expect((await instance.graphql(mutation, { input })).errors?.[0]?.extensions).toEqual({
      code: 'BAD_USER_INPUT',
      field,
    });
});

test('reading and deciding have scopes of their own', async () => {
  const input = { filter: { cause: 'x' } };
  const denied = await instance.graphql(replay, { input }, { scopes: ['dead-letter:read'] });
  expect(denied.errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
  const unread = await instance.graphql(query, {}, { scopes: ['dead-letter:write'] });
  expect(unread.errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
});
