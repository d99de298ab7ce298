/** Links inside the repository lead somewhere. */
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { exists, markdownFiles, prose, read } from './repository.js';

/** Anchors of a document, made from its headings as GitHub does. */
function anchorsOf(path: string): readonly string[] {
  return [...prose(read(path)).matchAll(/^#+ (.+)$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function brokenLinks(path: string): string[] {
  const targets = [...prose(read(path)).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '');
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [file = '', anchor] = target.split('#');
    const linked = file === '' ? path : join(dirname(path), file);
    if (!exists(linked)) return true;
    return anchor !== undefined && !anchorsOf(linked).includes(anchor);
  });
}

test.each(markdownFiles)('every link of %s leads somewhere', (path) => {
  expect(brokenLinks(path)).toEqual([]);
});

test('the README links to the rest of the documentation', () => {
  const links = prose(read('README.md'));
  for (const path of markdownFiles.filter((file) => /^docs\/[^/]+\.md$/.test(file)))
    expect(links).toContain(`(${path}`);
});
