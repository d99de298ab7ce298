/** What it costs to ask rules: the evaluator alone, on one core, for devices that some or all rules are about. */
import { compileRule, type CompiledRule } from '../backbone/rules/compile.js';
import { deviceRules, unwatched, watchDevice, type WatchedDevice } from '../backbone/rules/watch-device.js';
import { round, type Section } from './section.js';

const seconds = 2;
/** Readings of a device that are taken together, as from a batch of the bus. */
const together = 10;

/** Rules like those that people write: a comparison, one with hysteresis, one that must hold for a time. */
function makeRules(count: number): readonly CompiledRule[] {
  return Array.from({ length: count }, (_, index) =>
    compileRule({
      ruleId: `rule-${index}`,
      version: 1,
      name: 'bench',
      enabled: true,
      severity: 'INFO',
      selector: {},
      actions: [],
      condition: [
        { when: `temperature > ${80 + (index % 40)} && pressure < 3`, terms: [] },
        { when: `temperature > ${80 + (index % 40)}`, clearWhen: 'temperature < 60', terms: [] },
        { when: `pressure > ${2 + (index % 7)}`, forMs: 30_000, terms: [] },
      ][index % 3] ?? { when: 'false', terms: [] },
    }),
  );
}

export async function measureRules(): Promise<Section> {
  const rows = [1, 100, 1_000].map((count) => {
    const rules = deviceRules(makeRules(count));
    let device: WatchedDevice = unwatched;
    let at = 1_700_000_000_000;
    let readings = 0;
    const begun = process.cpuUsage();
    const until = performance.now() + seconds * 1_000;
    while (performance.now() < until) {
      const watching = watchDevice(device, rules, (_rule, error) => {
        throw error;
      });
      for (let index = 0; index < together; index += 1) {
        at += 1_000;
        // Mostly quiet, as fleets are; now and then something fires.
        const value = readings % 500 === 0 ? 90 : 40 + (readings % 30);
        watching.hear([
          { metric: 'temperature', at, value },
          { metric: 'pressure', at, value: 1 },
        ]);
        readings += 2;
      }
      device = watching.result().device;
    }
    const { user, system } = process.cpuUsage(begun);
    const microseconds = (user + system) / readings;
    return [
      ...[count.toLocaleString('en-US'), Math.round(1e6 / microseconds), round(microseconds, 2)],
      round((microseconds * 2 * 1_000) / count, 0),
    ];
  });
  return {
    title: 'Rules asked for each reading',
    method: `All rules of the tenant are about the device and look at one or both of the two metrics that each message has; a third each compares, has hysteresis, must hold for a time. The evaluator alone, by processor time, ${seconds} s each: what the transaction of a batch adds is that of the projector.`,
    columns: ['rules', 'readings/s a core', 'CPU µs a reading', 'CPU ns a rule and message'],
    rows,
  };
}
