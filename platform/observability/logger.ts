import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { createRepeatedLines, type RepeatedLines } from './repeated-lines.js';
import { traceContextOf } from './trace-context.js';

export type { Logger };

/** Numbers of pino's levels. */
const [warnLevel, fatalLevel] = [40, 60];

/**
 * One line a fact, JSON on standard output (or text a person can read, in a terminal).
 * Each line carries the trace id of the active span, if there is one. Warnings and errors that repeat themselves are written once
 * a minute, with their count (repeated-lines.ts).
 */
export function createLogger(options: {
  readonly level: string;
  readonly pretty: boolean;
  /** On each line: what tells processes apart that share one output. */
  readonly bindings?: Readonly<Record<string, unknown>>;
  /** Default: standard output. */
  readonly destination?: DestinationStream;
  readonly repeatedLines?: RepeatedLines;
}): Logger {
  const { repeatedLines = createRepeatedLines(), bindings } = options;
  const settings: LoggerOptions = {
    level: options.level,
    base: bindings ?? null,
    hooks: { logMethod: onceAMinute(repeatedLines) },
    mixin: () => traceContextOf(),
    redact: {
      paths: ['password', '*.password', 'authorization', '*.authorization', 'headers.authorization', 'token'],
      censor: '[redacted]',
    },
    ...(options.pretty
      ? {
          transport: {
            target: 'pino-pretty',
            options: { translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname', singleLine: true },
          },
        }
      : {}),
  };
  return options.destination ? pino(settings, options.destination) : pino(settings);
}

/** Offers warnings and errors to the lines that repeat themselves; a line of another level is written as it is. */
function onceAMinute(lines: RepeatedLines): NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']> {
  return function (args, method, level) {
    if (level < warnLevel || level >= fatalLevel) {
      method.apply(this, args);
      return;
    }
    const [first, second]: readonly unknown[] = args;
    const isText = typeof first === 'string';
    const text = isText ? first : typeof second === 'string' ? second : '';
    const fields = first instanceof Error ? { err: first } : isText ? {} : { ...(first as object) };
    lines.offer({ level, origin: JSON.stringify(this.bindings()), text, fields }, (more) =>
      method.apply(this, [{ ...fields, ...more }, text === '' ? undefined : text]),
    );
  };
}
