/** What docs/operations.md says of metrics, settings, groups and sizes. */
import { expect, test } from 'vitest';
import { roleNames } from '../../platform/config/config.js';
import { settings } from '../../platform/config/settings.js';
import { code, exists, files, prose, read, tableRows } from '../docs/repository.js';
import { composeFiles, interpolated } from './deploy-world.js';

const operations = read('docs/operations.md');
const sources = ['gateway', 'subgraphs', 'bridge', 'workers', 'backbone']
  .flatMap((folder) => files(folder))
  .filter((path) => path.endsWith('.ts'))
  .map(read);

test('every metric that it names is made somewhere', () => {
  const made = new Set(
    sources.flatMap((text) => [
      ...[...text.matchAll(/'(fleetgraph_\w+)'/g)].map(([, name]) => name),
      // The bus gives its counters a prefix.
      ...[...text.matchAll(/\b(?:counter|new\w*)\(\s*'(\w+_total)'/g)].map(
        ([, name]) => `fleetgraph_bus_${name ?? ''}`,
      ),
    ]),
  );
  const named = [...operations.matchAll(/fleetgraph_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''));
  expect(new Set(named).size).toBeGreaterThan(25);
  expect(named.filter((name) => !made.has(name))).toEqual([]);
});

test('every setting that it names is one of the program, of compose, or of the template for ECS', () => {
  const known = new Set([...Object.keys(settings), ...composeFiles.flatMap((path) => interpolated(read(path)))]);
  const named = [...prose(operations).matchAll(/`([A-Z][A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g)].map(
    ([, name]) => name ?? '',
  );
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

test('every consumer group that it names consumes', () => {
  const groups = /for group in ([^;]+);/.exec(operations)?.[1]?.split(' ') ?? [];
  expect(groups.length).toBeGreaterThan(3);
  expect(groups.filter((group) => !sources.some((text) => text.includes(`name: '${group}'`)))).toEqual([]);
});

test('the table of scaling has every role', () => {
  const rows = tableRows(operations, 'role').flatMap(([names = '']) => names.split(', ').map(code));
  expect(rows.sort()).toEqual([...roleNames].sort());
});

test('files that it tells to run are there', () => {
  const named = [...operations.matchAll(/(?:-f |--file )([\w./-]+\.(?:sql|ya?ml))/g)].map(([, path]) => path ?? '');
  expect(named.length).toBeGreaterThan(2);
  expect(named.filter((path) => !exists(path))).toEqual([]);
});

test('the sizes are what the arithmetic gives, and start from the benchmark', () => {
  const queryable = /\| fleetgraph, queryable \| ([\d,]+) \|/.exec(read('docs/benchmarks.md'))?.[1] ?? '';
  expect(operations).toContain(queryable);
  const number = (text = '') => Number(text.replaceAll(',', '').split(' ')[0]);
  const perCore = number(queryable) / 2;
  const units = { kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
  const bytes = (text = '') => number(text) * (units[/[kMGT]B/.exec(text)?.[0] as keyof typeof units] ?? Number.NaN);
  const seconds = (text = '') => number(text) * (text.endsWith('min') ? 60 : 1);
  const near = (actual: number, expected: number) => {
    expect(Math.abs(actual - expected) / expected).toBeLessThan(0.1);
  };
  const rows = tableRows(operations, 'devices').filter(([devices]) => /^[\d,]+$/.test(devices ?? ''));
  expect(number(rows.at(-1)?.[0])).toBe(1_000_000);
  for (const [devices, every, rate, cores, wal, perDay, changes, month] of rows) {
    const messages = number(devices) / seconds(every);
    near(number(rate), messages);
    if (number(cores) > 0.5) near(number(cores), (messages / perCore) * 2);
    near(bytes(wal), messages * 5_400);
    near(bytes(perDay), messages * 86_400 * 520);
    near(bytes(changes), messages * 86_400 * 780);
    near(bytes(month), messages * 86_400 * 520 * 30);
  }
});
