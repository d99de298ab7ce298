/**
 * What one execution reads and writes, as bytes. The answers of subgraphs stay the JSON that they came as:
 * objects and lists become JavaScript objects and arrays, but a leaf (a string, a number, `true`, or a whole
 * JSON value of a custom scalar) is only the number of a span of these bytes. The client's answer is made
 * of copies of the spans. So a value is neither decoded nor encoded again, its digits stay as they are, and
 * the garbage collector sees some objects of an answer in place of all of its values.
 *
 * Invariant: a tree holds `undefined`, `null`, objects, arrays, the text of a `__typename`, and numbers,
 * and each number is a leaf of the tape that the tree belongs to.
 */
import type { JsonObject } from '../json.js';

const leastBytes = 4_096;
const leastSpans = 256;

export class Tape {
  /** Written up to `length`. */
  bytes: Buffer = Buffer.allocUnsafeSlow(leastBytes);
  length = 0;
  /** Start and end of each leaf in `bytes`, by turns. */
  spans = new Int32Array(leastSpans);
  /** Numbers in `spans` that are used. */
  used = 0;

  /** Makes room for so many bytes after `length`. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** Makes room for so many leaves. */
  reserveLeaves(count: number): void {
    const needed = this.used + 2 * count;
    if (needed <= this.spans.length) return;
    const larger = new Int32Array(Math.max(needed, 2 * this.spans.length));
    larger.set(this.spans.subarray(0, this.used));
    this.spans = larger;
  }

  /** Adds a leaf. @param json its JSON text */
  leaf(json: string): number {
    const start = this.length;
    // A character is three bytes at most.
    this.reserve(3 * json.length);
    this.length += this.bytes.write(json, start);
    this.reserveLeaves(1);
    const leaf = this.used / 2;
    this.spans[this.used] = start;
    this.spans[this.used + 1] = this.length;
    this.used += 2;
    return leaf;
  }

  /** The JSON text of a leaf. */
  text(leaf: number): string {
    return this.bytes.toString('utf8', this.spans[2 * leaf], this.spans[2 * leaf + 1]);
  }

  /** Forgets everything. */
  clear(): void {
    this.length = 0;
    this.used = 0;
  }
}

/** Tapes that are used again: a new one costs the time to get its memory. */
export interface TapePool {
  /** An empty tape. */
  take(): Tape;
  /** Gives a tape back. Nobody may hold it, or a tree of it, any more. */
  give(tape: Tape): void;
}

/** A tape that has become larger than this is left to the garbage collector, bytes. */
const maxKeptBytes = 1_048_576;

/** @param maxTapes that wait to be used again */
export function createTapePool(maxTapes = 64): TapePool {
  const free: Tape[] = [];
  return {
    take: () => free.pop() ?? new Tape(),
    give(tape) {
      if (free.length >= maxTapes || tape.bytes.length > maxKeptBytes) return;
      tape.clear();
      free.push(tape);
    },
  };
}

/** The JSON text of a part of a tree. */
export function treeText(tape: Tape, value: unknown): string {
  if (typeof value === 'number') return tape.text(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value !== 'object' || value === null) return 'null';
  if (Array.isArray(value)) return `[${value.map((element) => treeText(tape, element)).join(',')}]`;
  let text = '';
  for (const name in value) {
    const member = (value as JsonObject)[name];
    if (member !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${treeText(tape, member)}`;
  }
  return `{${text}}`;
}
