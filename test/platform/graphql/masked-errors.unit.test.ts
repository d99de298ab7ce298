/** What the boundary shows of an error, and what it writes into the log of those that it masks. */
import { GraphQLError } from 'graphql';
import { expect, test } from 'vitest';
import { graphqlErrorFormatter } from '../../../platform/graphql/errors.js';
import { createLogger } from '../../../platform/observability/logger.js';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly err: { readonly message: string; readonly stack: string };
}

function startFormatter() {
  const lines: Line[] = [];
  const destination = { write: (text: string) => void lines.push(JSON.parse(text) as Line) };
  const format = graphqlErrorFormatter(createLogger({ level: 'info', pretty: false, destination }));
  const fail = (cause: Error, path: readonly (string | number)[] = ['device']) => {
    const error = new GraphQLError(cause.message, { originalError: cause, path });
    return format(error.toJSON(), error);
  };
  return { lines, fail };
}

test('each distinct defect has one full line, however many requests meet it', () => {
  const { lines, fail } = startFormatter();
  for (let n = 0; n < 100; n += 1) {
    expect(fail(new Error(`No row for device "d-${n}"`), ['devices', n, 'name']).extensions).toEqual({
      code: 'INTERNAL_SERVER_ERROR',
    });
    fail(new TypeError("Cannot read properties of undefined (reading 'id')"));
  }
  expect(lines.map(({ err }) => err.message)).toEqual([
    'No row for device "d-0"',
    "Cannot read properties of undefined (reading 'id')",
  ]);
  for (const { msg, err } of lines) {
    expect(msg).toBe('resolver failed');
    expect(err.stack).toContain('errors.unit.test');
  }
});

// Each request that its client broke off was an ERROR with the stack of an AbortError.
test('a request that was aborted is no defect', () => {
  const { lines, fail } = startFormatter();
  const aborted = AbortSignal.abort().reason as Error;
  expect(fail(aborted).extensions).toEqual({ code: 'UNAVAILABLE' });
  expect(lines).toEqual([]);
});
