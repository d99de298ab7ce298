/** What docs/architecture.md and the decisions say about files is true. */
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { entries, exists, fencedBlocks, files, prose, read } from './repository.js';

const architecture = read('docs/architecture.md');

/** Folders of the map: a name and a slash at the start of a line, indented below their parent. */
function foldersOfMap(): string[] {
  const [map = ''] = fencedBlocks(architecture.slice(architecture.indexOf('## Folder map')), 'text');
  const parents: string[] = [];
  return map.split('\n').flatMap((line) => {
    const match = /^( *)(\S+\/)(?: |$)/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) return [];
    const depth = match[1].length / 2;
    parents.length = depth;
    parents.push(match[2]);
    return [parents.join('')];
  });
}

/** Paths in backticks: with a slash or the ending of a file. Placeholders, addresses, packages and media types are none. */
function pathsIn(markdown: string): string[] {
  return [...prose(markdown).matchAll(/`([^`\n]+)`/g)]
    .map((match) => match[1] ?? '')
    .filter((text) => /^[\w.-]+(\/[\w.*-]+)*\/?$/.test(text) && !text.startsWith('application/'))
    .filter((text) => /\/|\.(ts|mjs|cjs|graphql|prisma|sql|json|md)$/.test(text));
}

const all = files();

/** A name without a folder stands for a file of that name wherever it is. */
function isThere(path: string): boolean {
  return path.includes('/') ? exists(path.replace(/\/?\*$/, '')) : all.some((file) => basename(file) === path);
}

test('every top-level folder is in the map, and every folder of the map is there', () => {
  const folders = foldersOfMap();
  expect(folders.filter((path) => !exists(path))).toEqual([]);
  const topLevel = entries('.').filter(({ isFolder }) => isFolder);
  expect(topLevel.map(({ path }) => `${path}/`).filter((path) => !folders.includes(path))).toEqual([]);
});

test('every folder directly below a top-level one that has code is in the map', () => {
  const folders = foldersOfMap();
  const below = ['backbone', 'bridge', 'cli', 'gateway', 'platform', 'subgraphs', 'workers'].flatMap((folder) =>
    entries(folder).filter(({ path, isFolder }) => isFolder && files(path).length > 0),
  );
  expect(below.map(({ path }) => `${path}/`).filter((path) => !folders.includes(path))).toEqual([]);
});

const documents = [
  'docs/architecture.md',
  'CONTRIBUTING.md',
  ...files('docs').filter((path) => path !== 'docs/architecture.md'),
];

test.each(documents.filter((path) => path.endsWith('.md')))('every path that %s names is there', (document) => {
  expect(pathsIn(read(document)).filter((path) => !isThere(path))).toEqual([]);
});

test('the paths are found at all', () => {
  expect(pathsIn(architecture).length).toBeGreaterThan(40);
});

test('each factory of the contracts is exported by the file that the table names', () => {
  const factories = [...architecture.matchAll(/^\| `(create\w+)` +\| `([^`]+)`/gm)];
  expect(factories.length).toBeGreaterThan(7);
  for (const [, name = '', file = ''] of factories)
    expect(read(file), file).toMatch(new RegExp(`export (async )?function ${name}\\b`));
});
