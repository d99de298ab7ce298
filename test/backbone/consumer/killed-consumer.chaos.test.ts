import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startScript } from '../../world/child-process.js';
import { eventually } from '../../world/eventually.js';
import { backbones, createConsumerWorld, type ConsumerWorld } from './consumer-world.js';
import { named } from './named-events.js';

describe.each(backbones)('on %s', (backbone) => {
  let world: ConsumerWorld;
  beforeAll(async () => {
    world = await createConsumerWorld(backbone);
    await world.database.pool.query('CREATE TABLE effects (id uuid PRIMARY KEY, name text, n serial)');
    await world.database.pool.query('CREATE TABLE attempts (id uuid, name text)');
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const script = new URL('consumer-process.ts', import.meta.url);
  const names = async (table: string) => {
    const { rows } = await world.database.pool.query<{ name: string }>(
      `SELECT name FROM ${table} ORDER BY ${table === 'effects' ? 'n' : 'name'}`,
    );
    return rows.map(({ name }) => name);
  };

  test('a consumer that is killed between its effect and its commit: another gets the records again, the effect is one', async () => {
    await world.publish(...['a', 'b', 'c', 'd', 'e'].map(named));
    const doomed = await startScript(script, [JSON.stringify(world.address), 'die']);
    expect(doomed.output()).toContain('effect');
    await doomed.kill();
    expect(await names('effects')).toEqual(['a', 'b', 'c']);
    expect(await world.lag()).toBe(5);

    const heir = await startScript(script, [JSON.stringify(world.address)]);
    await eventually(async () => expect(await world.lag()).toBe(0));
    expect(await names('effects')).toEqual(['a', 'b', 'c', 'd', 'e']);
    // They were really delivered twice.
    expect(await names('attempts')).toEqual(['a', 'a', 'b', 'b', 'c', 'c', 'd', 'e']);
    await heir.kill();
  });
});
