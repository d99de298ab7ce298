/** Where the time goes: self time of a V8 CPU profile, summed by part of the project and by package. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** A Markdown table of the twelve largest parts, in per cent of the time that the process was busy. */
export async function summarizeProfile(directory: string): Promise<string> {
  const [file] = (await readdir(directory)).filter((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) return '';
  const profile = JSON.parse(await readFile(join(directory, file), 'utf8')) as CpuProfile;
  await rm(dirname(directory), { recursive: true, force: true });
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const totals = new Map<string, number>();
  profile.samples.forEach((id, index) => {
    const frame = frames.get(id);
    if (frame === undefined || frame.functionName === '(idle)') return;
    const part = partOf(frame);
    totals.set(part, (totals.get(part) ?? 0) + (profile.timeDeltas[index] ?? 0));
  });
  const busy = [...totals.values()].reduce((sum, micros) => sum + micros, 0);
  const largest = [...totals].sort((a, b) => b[1] - a[1]).slice(0, 12);
  const rows = largest.map(([part, micros]) => `| ${part} | ${((micros / busy) * 100).toFixed(1)} % |`);
  return [
    'Where the time of the process goes (self time of a CPU profile over the run; PostgreSQL is another process):',
    '',
    '| part | share |',
    '| --- | --- |',
    ...rows,
  ].join('\n');
}

function partOf({ functionName, url }: { functionName: string; url: string }): string {
  if (url === '') return functionName.startsWith('(') ? functionName.replace(/[()]/g, '') : `V8: ${functionName}`;
  if (url.startsWith('node:'))
    return `Node.js: ${
      url
        .slice('node:'.length)
        .replace(/^internal\//, '')
        .split('/')[0] ?? ''
    }`;
  const path = url.startsWith('file:') ? fileURLToPath(url) : url;
  const dependency = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(path);
  if (dependency?.[1] !== undefined) return dependency[1];
  return path.startsWith(root) ? path.slice(root.length).split(sep).slice(0, 2).join('/') : path;
}
