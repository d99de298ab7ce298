/** The files of this repository and the parts of its Markdown, for tests that hold the one against the other. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What .gitignore and Git itself leave out, as predicates of a path relative to the root. */
const ignored: readonly ((path: string, name: string) => boolean)[] = [
  (_path, name) => name === '.git',
  ...read('.gitignore')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const pattern = line.replace(/\/$/, '');
      if (pattern.startsWith('*')) return (_path: string, name: string) => name.endsWith(pattern.slice(1));
      return pattern.includes('/')
        ? (path: string) => path === pattern
        : (_path: string, name: string) => name === pattern;
    }),
];

/** Entries of a folder that are part of the repository. */
export function entries(folder: string): readonly { readonly path: string; readonly isFolder: boolean }[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .map((entry) => ({ path: relative('', join(folder, entry.name)), name: entry.name, isFolder: entry.isDirectory() }))
    .filter(({ path, name }) => !ignored.some((isIgnored) => isIgnored(path, name)));
}

/** Paths of all files, relative to the root. */
export function files(folder = '.'): readonly string[] {
  return entries(folder).flatMap(({ path, isFolder }) => (isFolder ? files(path) : [path]));
}

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

export function exists(path: string): boolean {
  return existsSync(join(root, path));
}

export const markdownFiles = files().filter((path) => path.endsWith('.md'));

/** The text without fenced blocks. */
export function prose(markdown: string): string {
  return markdown.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '');
}

/** Contents of the fenced blocks of a language, in order. */
export function fencedBlocks(markdown: string, language: string): readonly string[] {
  return [...markdown.matchAll(new RegExp(`^ *\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\`$`, 'gm'))].map(
    (match) => match[1] ?? '',
  );
}

/** Cells of the rows of every table whose header begins with `firstColumn`. */
export function tableRows(markdown: string, firstColumn: string): readonly (readonly string[])[] {
  const rows: string[][] = [];
  let inTable = false;
  for (const line of markdown.split('\n')) {
    const cells = line.startsWith('|')
      ? line
          .slice(1, -1)
          .split(/(?<!\\)\|/)
          .map((cell) => cell.trim())
      : undefined;
    if (cells === undefined) inTable = false;
    else if (inTable) rows.push(cells);
    else inTable = cells[0] === firstColumn;
  }
  return rows.filter(([first]) => !/^:?-+:?$/.test(first ?? ''));
}

/** What stands between the backticks of a cell: `a` for "`a`". */
export function code(cell: string | undefined): string {
  return /^`([^`]+)`$/.exec(cell ?? '')?.[1] ?? '';
}
