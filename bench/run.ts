// `npm run bench [-- NAME…]`: runs the measurements, each beside its peer in this one run, and writes docs/benchmarks.md.
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { measureAttacks } from './attacks.js';
import { measureFanOut } from './fan-out.js';
import { measureFederation } from './federation.js';
import { measureRules } from './rules.js';
import { measureJobs } from './jobs.js';
import { measureJoinedQuery } from './joined-query.js';
import { measureKafka } from './kafka.js';
import type { Section } from './section.js';
import { measureSlowClients } from './slow-clients.js';
import { measureSubscriptionLatency } from './subscription-latency.js';
import { measureTelemetry } from './telemetry.js';
import { measureWebhooks } from './webhooks.js';
import { measureWorkers } from './workers.js';

const measurements: Readonly<Record<string, () => Promise<Section>>> = {
  telemetry: measureTelemetry,
  kafka: measureKafka,
  'subscription-latency': measureSubscriptionLatency,
  webhooks: measureWebhooks,
  jobs: measureJobs,
  'fan-out': measureFanOut,
  'slow-clients': measureSlowClients,
  attacks: measureAttacks,
  'joined-query': measureJoinedQuery,
  federation: measureFederation,
  workers: measureWorkers,
  rules: measureRules,
};
const report = new URL('../docs/benchmarks.md', import.meta.url);

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(measurements);
const sections = new Map<string, string>(await previousSections());
for (const name of names) {
  const measure = measurements[name];
  if (!measure) throw new Error(`"${name}" is not a measurement. There are ${Object.keys(measurements).join(', ')}.`);
  console.log(`measuring ${name} …`);
  const section = await measure();
  const text = render(section);
  sections.set(name, text);
  console.log(text);
}
await writeFile(report, document());

function render({ title, method, columns, rows, notes }: Section): string {
  const line = (cells: readonly (string | number)[]) =>
    `| ${cells.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en-US') : cell)).join(' | ')} |`;
  const date = new Date().toISOString().slice(0, 10);
  return [
    `## ${title}`,
    '',
    `${method} (${date})`,
    '',
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map(line),
    ...(notes ? ['', notes] : []),
    '',
  ].join('\n');
}

/** A run of some measurements keeps what the report says of the others. */
async function previousSections(): Promise<[string, string][]> {
  const text = await readFile(report, 'utf8').catch(() => '');
  return [...text.matchAll(/<!-- (\S+) -->\n([\s\S]*?)(?=\n<!-- |$)/g)].map((match) => [
    match[1] ?? '',
    match[2] ?? '',
  ]);
}

function document(): string {
  const [cpu] = cpus();
  const machine = `${cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node.js ${process.versions.node}, ${process.platform}`;
  const head = `# Benchmarks\n\nWritten by \`npm run bench\`. Each figure stands beside a peer that was measured in the same run: read the ratios, not the absolute figures, which are those of the machine of the day (the last one: ${machine}).\n`;
  const ordered = Object.keys(measurements).flatMap((name) =>
    sections.has(name) ? [`<!-- ${name} -->\n${sections.get(name) ?? ''}`] : [],
  );
  return `${head}\n${ordered.join('\n')}`;
}
