/** Every GraphQL operation that the documentation shows is one that the graph takes. */
import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { buildSupergraph } from '../../gateway/supergraph/supergraph.js';
import { fencedBlocks, markdownFiles, read } from './repository.js';

const { apiSchema } = buildSupergraph(read('gateway/supergraph.graphql'));
const examples = markdownFiles.flatMap((path) =>
  fencedBlocks(read(path), 'graphql').map((text, index) => ({ name: `${path}, block ${index + 1}`, text })),
);

test.each(examples)('$name is valid', ({ text }) => {
  expect(validate(apiSchema, parse(text)).map(({ message }) => message)).toEqual([]);
});

test('README, docs/api.md and docs/subscriptions.md have examples', () => {
  for (const path of ['README.md', 'docs/api.md', 'docs/subscriptions.md'])
    expect(examples.filter(({ name }) => name.startsWith(path)).length, path).toBeGreaterThan(0);
});
