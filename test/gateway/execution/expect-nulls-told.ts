/** What holds of every answer to which something went wrong, compared with the answer to which nothing did. */
import { expect } from 'vitest';

export type Path = readonly (string | number)[];

/**
 * Each error with a path is at a null or below one, and no other has its path. What is there is what
 * the reference has, and where that has more, there is an error at the null or below it.
 */
export function expectNullsTold(
  answer: { readonly data?: unknown; readonly errors?: readonly { readonly path?: Path | undefined }[] },
  reference: unknown,
): void {
  const paths = (answer.errors ?? []).flatMap(({ path }) => (path ? [path] : []));
  for (const path of paths) expect([path, isNullOnTheWay(answer.data, path)]).toEqual([path, true]);
  expect(new Set(paths.map((path) => JSON.stringify(path))).size).toBe(paths.length);
  const { nulls, others } = differences(answer.data, reference);
  expect(others).toEqual([]);
  for (const place of nulls) expect([place, paths.some((path) => startsWith(path, place))]).toEqual([place, true]);
}

function isNullOnTheWay(data: unknown, path: Path): boolean {
  let value = data;
  for (const element of path) {
    if (value === null) return true;
    value = (value as Record<string | number, unknown>)[element];
  }
  return value === null;
}

/**
 * Places where something is null that is there in the reference; and those where there is something
 * else.
 */
function differences(given: unknown, expected: unknown, at: Path = []): { nulls: Path[]; others: Path[] } {
  if (given === null) return { nulls: expected === null ? [] : [at], others: [] };
  if (typeof given !== 'object' || typeof expected !== 'object' || expected === null)
    return { nulls: [], others: JSON.stringify(given) === JSON.stringify(expected) ? [] : [at] };
  const inner = Object.entries(given).map(([name, value]) =>
    differences(value, (expected as Record<string, unknown>)[name], [
      ...at,
      Array.isArray(given) ? Number(name) : name,
    ]),
  );
  const isSame = Object.keys(given).join() === Object.keys(expected).join();
  return {
    nulls: inner.flatMap(({ nulls }) => nulls),
    others: [...(isSame ? [] : [at]), ...inner.flatMap(({ others }) => others)],
  };
}

const startsWith = (path: Path, start: Path): boolean => start.every((element, index) => path[index] === element);
