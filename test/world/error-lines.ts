import { pino, type Logger } from 'pino';

/** A log of which the lines at level `error` and above are kept, for tests of what must not cause any. */
export function createErrorLog(): { readonly log: Logger; readonly lines: readonly unknown[] } {
  const lines: unknown[] = [];
  const log = pino({ level: 'error' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  return { log, lines };
}
