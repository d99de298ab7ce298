import { afterAll, beforeAll, expect, test } from 'vitest';
import { pause } from '../../../platform/lifecycle/wait.js';
import { startScript, type Child } from '../../world/child-process.js';
import { eventually } from '../../world/eventually.js';
import { createOrchestratorWorld, type OrchestratorWorld } from './orchestrator-world.js';

let world: OrchestratorWorld;
const children = new Set<Child>();
beforeAll(async () => {
  world = await createOrchestratorWorld();
});
afterAll(async () => {
  for (const child of children) await child.kill();
  await world[Symbol.asyncDispose]();
});

const startOrchestrator = async (): Promise<Child> => {
  const child = await startScript(new URL('orchestrator-process.ts', import.meta.url), [world.database.url]);
  children.add(child);
  return child;
};

test('orchestrators that are killed between hearing and saying lose no alert and say none twice; the database may go away', async () => {
  const knowing = await world.start();
  const rule = await world.rule({ when: 'level > 5' });
  const counting = await world.rule({
    when: 'often',
    terms: [{ name: 'often', times: { expression: 'level > 5', times: 10, within: 'PT10H' } }],
  });
  const devices = await Promise.all(Array.from({ length: 5 }, () => world.register()));
  await eventually(async () => {
    const { rows } = await world.database.pool.query('SELECT FROM orchestrator.devices');
    expect(rows).toHaveLength(devices.length);
  });
  await knowing.stop();
  const started = Date.now();
  let n = 0;
  let publishing = true;
  const publisher = (async () => {
    for (; publishing; n += 1) {
      // Above and below by turns: each reading makes the rule say something.
      for (const device of devices) await world.hear(device, { level: n % 2 === 0 ? 9 : 1 }, started + n);
      await pause(3);
    }
  })();
  const said = async (): Promise<number> => {
    const { rows } = await world.database.pool.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM events.events WHERE stream LIKE 'device-rules-%'`,
    );
    return rows[0]?.n ?? 0;
  };
  for (let round = 0; round < 3; round += 1) {
    const before = await said();
    const child = await startOrchestrator();
    await eventually(async () => expect(await said()).toBeGreaterThan(before + 50));
    if (round === 1)
      await world.database.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orchestrator-process' AND datname = current_database()`,
      );
    await child.kill();
  }
  publishing = false;
  await publisher;
  const last = await startOrchestrator();
  await eventually(async () => {
    expect((await world.bus.lag('orchestrator-telemetry')).get('fleetgraph.telemetry')).toBe(0);
  }, 40_000);
  await last.kill();

  for (const device of devices) {
    const facts = await world.facts(device);
    expect(facts.map(({ sequence }) => sequence)).toEqual(facts.map((_, index) => index + 1));
    const turns = facts.filter(({ ruleId }) => ruleId === rule.ruleId);
    expect(turns.map(({ kind, at }) => [kind, at - started])).toEqual(
      Array.from({ length: n }, (_, index) => [index % 2 === 0 ? 'fired' : 'recovered', index]),
    );
    // Readings that were heard before a kill were counted, and those that came again were not counted again.
    expect(facts.filter(({ ruleId }) => ruleId === counting.ruleId).map(({ at }) => at - started)).toEqual([18]);
  }
}, 120_000);
