// `npm test`: every check, then every test. `npm test -- NAME…` runs only the tests whose path contains a NAME.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const names = process.argv.slice(2);
const checks = [
  ['format', ['prettier', '--check', '--log-level', 'warn', '.']],
  ['lint', ['eslint', '.', '--max-warnings', '0']],
  ['types', ['tsc', '-p', 'tsconfig.json']],
  ['types of the explorer', ['tsc', '-p', 'gateway/explorer/tsconfig.json']],
  [
    'dependency rules',
    [
      'depcruise',
      '--config',
      '.dependency-cruiser.cjs',
      '--output-type',
      'err',
      'gateway',
      'subgraphs',
      'bridge',
      'backbone',
      'workers',
      'platform',
      'cli',
      'test',
      'bench',
    ],
  ],
];

/** Runs a program of node_modules/.bin; resolves to its exit code. */
function run([program, ...args]) {
  return (
    spawnSync(join('node_modules', '.bin', program), args, { stdio: 'inherit', shell: process.platform === 'win32' })
      .status ?? 1
  );
}

/** The same, without waiting; resolves to the exit code and what it printed. */
function runAside([program, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(join('node_modules', '.bin', program), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.once('error', (error) => resolve({ code: 1, output: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

const failed = [];

/** Runs checks one after the other, and says what became of each. */
async function check(checks) {
  for (const [name, command] of checks) {
    const startedAt = Date.now();
    const { code, output } = await runAside(command);
    process.stdout.write(output);
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
    if (code !== 0) failed.push(name);
  }
}

if (names.length === 0) {
  // The linter takes as long as all others together.
  const isLint = ([name]) => name === 'lint';
  await Promise.all([check(checks.filter(isLint)), check(checks.filter((entry) => !isLint(entry)))]);
}

// Servers that are not in npm. What is missing is skipped, and said; with REQUIRE_REAL_SERVERS=true it fails.
const prepared = spawnSync(process.execPath, ['--import', 'tsx', join('test', 'prepare.ts')], { stdio: 'inherit' });
if (prepared.status !== 0) failed.push('servers for the tests');

// Tests that start the whole system as processes of its own, one after the other: two at once would only be late together.
const systems = [
  'test/cluster/',
  'test/deploy/image',
  'test/deploy/roles-apart',
  'test/e2e/production',
  'test/e2e/rolling-restart',
  'test/edge/failover',
];
const runs =
  names.length > 0 ? [names] : [systems.flatMap((path) => ['--exclude', `${path}**`]), [...systems, '--maxWorkers=1']];

const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-report-'));
const counts = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0 };
let status = 0;
for (const [index, args] of runs.entries()) {
  const report = join(directory, `report-${index}.json`);
  const code = run(['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args]);
  status ||= code;
  try {
    const found = JSON.parse(readFileSync(report, 'utf8'));
    for (const name of Object.keys(counts)) counts[name] += found[name];
  } catch {
    // The runner ended before it could report: its exit code says that nothing is to be believed.
    status ||= 1;
  }
}
rmSync(directory, { recursive: true, force: true });
if (status !== 0) failed.push('tests');
if (failed.length > 0) console.error(`\nfailed: ${failed.join(', ')}`);
const skipped = counts.numPendingTests > 0 ? `, ${counts.numPendingTests} skipped` : '';
console.log(`\n${counts.numPassedTests} passed, ${counts.numFailedTests} failed${skipped}`);
process.exitCode = failed.length > 0 || counts.numPassedTests === 0 ? 1 : 0;
