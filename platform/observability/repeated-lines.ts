/**
 * Keeps load from multiplying lines of the log: of warnings and errors that say the same, the first is written at once and then one
 * a minute, with the count of those that it stands for in `repeated`.
 * What says the same: the same text, from the same part, for a cause of the same kind and origin. Which device, tenant or
 * request it is about does not tell lines apart, or every client could write as many as it likes.
 * Invariant: lines written with their `repeated` (1 without) add up to the lines that were asked for, at the latest a minute after.
 */
import { systemClock, type LogClock } from './log-clock.js';

export interface RepeatedLines {
  /**
   * Writes the line now, or counts it.
   * @param write is kept for the last of those that are counted, and called with `repeated` then.
   */
  offer(line: RepeatedLine, write: (fields: Readonly<Record<string, unknown>>) => void): void;
}

export interface RepeatedLine {
  readonly level: number;
  /** Where it comes from: the bindings of its logger. */
  readonly origin: string;
  readonly text: string;
  readonly fields: Readonly<Record<PropertyKey, unknown>>;
}

const ownPace: unique symbol = Symbol('own pace');
/** Among the fields of a line: its writer limits the rate, and it is always written. */
export const atItsOwnPace: Readonly<Record<symbol, true>> = { [ownPace]: true };

/** Fields whose values are few, fixed by the program and its configuration: lines that differ in one say something else. */
const tellingFields = ['role', 'consumer', 'group', 'topic', 'relay', 'lead', 'subgraph', 'question', 'path'] as const;

interface Repeated {
  writtenAt: number;
  count: number;
  write: (fields: Readonly<Record<string, unknown>>) => void;
}

const others = 'others';

export function createRepeatedLines(
  options: {
    /** Between lines that say the same. Default 60,000. */
    readonly everyMs?: number;
    /** Lines that are counted apart; further ones count as one. Default 500. */
    readonly maxKeys?: number;
    readonly clock?: LogClock;
  } = {},
): RepeatedLines {
  const { everyMs = 60_000, maxKeys = 500, clock = systemClock } = options;
  const lines = new Map<string, Repeated>();
  let stopLooking: (() => void) | undefined;

  const look = (): void => {
    const now = clock.now();
    for (const [key, line] of lines) {
      if (now - line.writtenAt < everyMs) continue;
      if (line.count === 0) {
        lines.delete(key);
        continue;
      }
      const { count, write } = line;
      line.count = 0;
      line.writtenAt = now;
      write({ repeated: count });
    }
    if (lines.size > 0) return;
    stopLooking?.();
    stopLooking = undefined;
  };

  return {
    offer(line, write) {
      if (Object.hasOwn(line.fields, ownPace)) {
        write({});
        return;
      }
      const own = keyOf(line);
      const key = lines.has(own) || lines.size < maxKeys ? own : others;
      const known = lines.get(key);
      if (known) {
        known.count += 1;
        known.write = write;
        return;
      }
      lines.set(key, { writtenAt: clock.now(), count: 0, write });
      write({});
      stopLooking ??= clock.every(Math.min(everyMs, 1_000), look);
    },
  };
}

function keyOf({ level, origin, text, fields }: RepeatedLine): string {
  const telling = tellingFields.map((name) => (typeof fields[name] === 'string' ? fields[name] : ''));
  const { err, reason } = fields;
  return [level, origin, text, ...telling, causeOf(err), typeof reason === 'string' ? patternOf(reason) : ''].join(
    '\n',
  );
}

/** An error without what differs from request to request: its class, the pattern of its message, where it was made. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const place = /^\s*at .*$/m.exec(error.stack?.slice(error.message.length) ?? '')?.[0].trim() ?? '';
  return `${error.name}\n${patternOf(error.message)}\n${place}`;
}

/** A message with a sign in the place of names, ids and numbers. */
function patternOf(message: string): string {
  return message
    .slice(0, 500)
    .replaceAll(/"[^"]*"|'[^']*'|`[^`]*`|\b[0-9a-f-]{12,}\b|\d+/gi, '#')
    .slice(0, 200);
}
