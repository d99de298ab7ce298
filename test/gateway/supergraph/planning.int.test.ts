/** Planning beside other work: what takes long is planned in a thread, and holds up nobody else. */
import { readFileSync } from 'node:fs';
import { parse, type DocumentNode } from 'graphql';
import { afterEach, expect, test } from 'vitest';
import { planOperation } from '../../../gateway/supergraph/plan-operation.js';
import { createPlanning, stallMs, type Planning } from '../../../gateway/supergraph/planning/planning.js';
import { buildSupergraph, type Supergraph } from '../../../gateway/supergraph/supergraph.js';
import { silentLog } from '../../world/database.js';

const sdl = readFileSync(new URL('../../../gateway/supergraph.graphql', import.meta.url), 'utf8');
let planning: Planning | undefined;
afterEach(async () => {
  await planning?.close();
  planning = undefined;
});

const quick = parse('query Quick { device(id: "1") { name state { updatedAt } commands { edges { node { id } } } } }');
/** @param count devices: each adds some milliseconds to the plan */
function slow(count: number, seed = 0): DocumentNode {
  const fields = '{ name state { updatedAt } commands { edges { node { id device { name } } } } }';
  const devices = Array.from(
    { length: count },
    (_none, index) => `d${seed}_${index}: device(id: "${index}") ${fields}`,
  );
  return parse(`{ ${devices.join(' ')} }`);
}
const tooSlow = expect.objectContaining({
  message: expect.stringContaining('to plan. Ask for less at once') as string,
  extensions: { code: 'BAD_USER_INPUT' },
}) as Error;

/** The supergraph as the gateway builds it, but for how long the process may stand still. */
const supergraphThatStallsFor = (ms: number): Supergraph => buildSupergraph(sdl, ms);

test('what is planned quickly is planned at once, without a thread', () => {
  planning = createPlanning({ timeoutMs: 2_000, log: silentLog });
  const supergraph = supergraphThatStallsFor(stallMs);
  const planned = planning.plan(supergraph, quick, undefined);
  expect(planned).toEqual(planOperation(supergraph, quick, undefined));
});

test('what takes longer is planned in a thread, as it would be here, with other work in between', async () => {
  planning = createPlanning({ timeoutMs: 30_000, log: silentLog });
  const long = slow(40);
  const expected = planOperation(buildSupergraph(sdl, 60_000), long, undefined);
  const planned = planning.plan(supergraphThatStallsFor(1), long, undefined);
  expect(planned).toBeInstanceOf(Promise);
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  turn();
  expect(await planned).toEqual(expected);
  isOver = true;
  expect(turns).toBeGreaterThan(1);
});

test('names, overrides and numbers beyond 2^53 come through the thread', async () => {
  planning = createPlanning({ timeoutMs: 30_000, log: silentLog });
  const supergraph = supergraphThatStallsFor(1);
  await planning.plan(supergraph, slow(40), undefined);
  const named = parse('query A { device(id: 9007199254740993) { name } } query B { fleet { devices } }');
  const here = buildSupergraph(sdl);
  expect(await planning.plan(supergraph, named, 'A', ['x'])).toEqual(planOperation(here, named, 'A', ['x']));
  expect(await planning.plan(supergraph, named, 'B')).toEqual(planOperation(here, named, 'B'));
});

test('what can not be planned in time is refused with what to do, and what waits behind it is planned', async () => {
  planning = createPlanning({ timeoutMs: 400, log: silentLog });
  const supergraph = supergraphThatStallsFor(1);
  const endless = planning.plan(supergraph, slow(1_000), undefined) as Promise<unknown>;
  const others = Array.from({ length: 5 }, () => planning?.plan(supergraph, quick, undefined) as Promise<unknown>);
  await expect(endless).rejects.toThrow(tooSlow);
  const here = planOperation(buildSupergraph(sdl), quick, undefined);
  for (const planned of await Promise.all(others)) expect(planned).toEqual(here);
});

test('operations with a fault are refused by the thread as they are here', async () => {
  planning = createPlanning({ timeoutMs: 30_000, log: silentLog });
  const supergraph = supergraphThatStallsFor(1);
  await planning.plan(supergraph, slow(40), undefined);
  const nothing = parse('{ __typename @skip(if: true) device(id: "1") { nothing } }');
  let here: unknown;
  try {
    planOperation(buildSupergraph(sdl), nothing, undefined);
  } catch (error) {
    here = error;
  }
  await expect(planning.plan(supergraph, nothing, undefined)).rejects.toMatchObject({
    message: (here as Error).message,
    extensions: { code: 'BAD_USER_INPUT' },
  });
});

test('two supergraphs are planned on by turns, as when one replaces the other', async () => {
  planning = createPlanning({ timeoutMs: 30_000, log: silentLog });
  const one = supergraphThatStallsFor(1);
  const other = buildSupergraph(sdl.replaceAll('"http://', '"https://'), 1);
  for (const supergraph of [one, other, one, other]) {
    const planned = await planning.plan(supergraph, slow(40), undefined);
    expect(planned.queryPlan.node).toBeDefined();
  }
});

test('who waits when the gateway stops is told to try again', async () => {
  planning = createPlanning({ timeoutMs: 30_000, log: silentLog });
  const supergraph = supergraphThatStallsFor(1);
  const waiting = [slow(40), slow(40, 1)].map(
    (text) => planning?.plan(supergraph, text, undefined) as Promise<unknown>,
  );
  const outcomes = Promise.allSettled(waiting);
  await planning.close();
  for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: { code: 'UNAVAILABLE' } });
  await expect(planning.plan(supergraph, quick, undefined)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
