/** A log whose lines a test can read. */
import { pino, type Logger } from 'pino';

export interface LogLine {
  /** Of pino: 40 is WARN, 50 is ERROR. */
  readonly level: number;
  readonly msg: string;
}

export interface CapturedLog {
  readonly log: Logger;
  readonly lines: LogLine[];
  /** Those of WARN and above. */
  readonly complaints: () => readonly LogLine[];
}

export function captureLog(): CapturedLog {
  const lines: LogLine[] = [];
  const log = pino({ level: 'trace' }, { write: (text: string) => void lines.push(JSON.parse(text) as LogLine) });
  return { log, lines, complaints: () => lines.filter(({ level }) => level >= 40) };
}
