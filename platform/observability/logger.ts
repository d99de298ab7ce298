import { pino, type Logger } from 'pino';
import { traceContextOf } from './trace-context.js';

export type { Logger };

/**
 * One line a fact, JSON on standard output (or text a person can read, in a terminal).
 * Each line carries the trace id of the active span, if there is one.
 */
export function createLogger(options: { level: string; pretty: boolean }): Logger {
  return pino({
    level: options.level,
    base: null,
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
  });
}
