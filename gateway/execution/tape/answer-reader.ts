/** How the data of a subgraph's answer gets onto the tape of an execution. */
import type { JsonObject } from '../json.js';
import type { AnswerField } from './answer-shape.js';
import { compileReader, type ReadAnswer } from './compile-reader.js';
import { readValues } from './read-values.js';
import type { Tape } from './tape.js';

export interface AnswerReader {
  /** The tree of the data in a GraphQL response; undefined if it has to be parsed and looked into. */
  fromBytes(answer: Buffer): JsonObject | undefined;
  /** The tree of data that was parsed. */
  fromValues(data: JsonObject): JsonObject;
}

export type ReaderFor = (tape: Tape) => AnswerReader;

export function compileAnswerReader(fields: readonly AnswerField[]): ReaderFor {
  const read = compileReader(fields);
  return (tape) => new TapeReader(tape, fields, read);
}

class TapeReader implements AnswerReader {
  readonly #tape: Tape;
  readonly #fields: readonly AnswerField[];
  readonly #read: ReadAnswer;

  constructor(tape: Tape, fields: readonly AnswerField[], read: ReadAnswer) {
    this.#tape = tape;
    this.#fields = fields;
    this.#read = read;
  }

  fromBytes(answer: Buffer): JsonObject | undefined {
    return this.#read(this.#tape, answer);
  }

  fromValues(data: JsonObject): JsonObject {
    return readValues(this.#tape, this.#fields, data);
  }
}
