/** Dead letters that are handled once more: by their own consumer, once, and none is lost on the way. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConsumerOptions } from '../../../backbone/consumer/consumer.js';
import { eventually } from '../../world/eventually.js';
import { createConsumerWorld, type ConsumerWorld } from './consumer-world.js';
import { named, nameOf } from './named-events.js';

let world: ConsumerWorld;
beforeAll(async () => {
  world = await createConsumerWorld('PostgreSQL');
});
afterAll(() => world[Symbol.asyncDispose]());

const statuses = async (consumer: string) => {
  const { rows } = await world.database.pool.query<{ status: string; attempts: number; cause: string }>(
    'SELECT status::text AS status, attempts, cause FROM dead_letters.dead_letters WHERE consumer = $1 ORDER BY "offset"',
    [consumer],
  );
  return rows;
};
const replay = (consumer: string) =>
  world.database.pool.query(
    `UPDATE dead_letters.dead_letters SET status = 'REPLAYING' WHERE consumer = $1 AND status = 'PENDING'`,
    [consumer],
  );

test('a letter is handled by the consumer that put it aside, by no other, and counts as replayed', async () => {
  let broken = true;
  const handled: string[] = [];
  const elsewhere: string[] = [];
  await world.consume({
    name: 'mended',
    async handle(events) {
      if (broken) throw new TypeError('not yet');
      handled.push(...events.map(({ event }) => nameOf(event)));
    },
  });
  await world.consume({
    name: 'bystander',
    async handle(events) {
      elsewhere.push(...events.map(({ event }) => nameOf(event)));
    },
  });
  await world.publish(named('a'), named('b'));
  await eventually(async () => expect(await statuses('mended')).toHaveLength(2));
  await eventually(() => expect(elsewhere).toHaveLength(2));
  broken = false;
  await replay('mended');
  await eventually(async () =>
    expect((await statuses('mended')).map(({ status }) => status)).toEqual(['REPLAYED', 'REPLAYED']),
  );
  expect(handled).toEqual(['a', 'b']);
  expect(elsewhere).toHaveLength(2);
});

test('a letter that fails again is pending again, with the new cause', async () => {
  let cause = 'first';
  await world.consume({
    name: 'stubborn',
    from: 'latest',
    async handle() {
      throw new TypeError(cause);
    },
  });
  await world.publish(named('c'));
  await eventually(async () => expect(await statuses('stubborn')).toMatchObject([{ cause: 'first', attempts: 3 }]));
  cause = 'second';
  await replay('stubborn');
  await eventually(async () =>
    expect(await statuses('stubborn')).toEqual([{ status: 'PENDING', cause: 'second', attempts: 4 }]),
  );
});

test('of several members one handles a letter, and one whose member died is handled when its lease has passed', async () => {
  let broken = true;
  const handled: string[] = [];
  const handle: ConsumerOptions['handle'] = async (events) => {
    if (broken) throw new TypeError('not yet');
    handled.push(...events.map(({ event }) => nameOf(event)));
  };
  for (let member = 0; member < 3; member += 1) await world.consume({ name: 'shared', from: 'latest', handle });
  await world.publish(...Array.from({ length: 10 }, (_, n) => named(`s${n}`)));
  await eventually(async () => expect(await statuses('shared')).toHaveLength(10));
  broken = false;
  // One is in the hands of a member that is gone.
  await world.database.pool.query(
    `UPDATE dead_letters.dead_letters SET status = 'REPLAYING', lease = gen_random_uuid(), leased_until = now() + interval '1 hour'
     WHERE consumer = 'shared' AND value LIKE '%"s0"%'`,
  );
  await replay('shared');
  await eventually(() => expect(handled).toHaveLength(9));
  await world.database.pool.query(`UPDATE dead_letters.dead_letters SET leased_until = now() WHERE lease IS NOT NULL`);
  await eventually(() => expect(handled).toHaveLength(10));
  expect(new Set(handled).size).toBe(10);
});
