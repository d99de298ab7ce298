/** How the data of a subgraph's answer gets onto the tape of an execution. */
import type { GraphQLSchema } from 'graphql';
import type { JsonObject } from '../json.js';
import { answerShape } from './answer-shape.js';
import { compileReader } from './compile-reader.js';
import { readValues } from './read-values.js';
import type { Tape } from './tape.js';

export interface AnswerReader {
  /** The tree of the data in a GraphQL response; undefined if it has to be parsed and looked into. */
  fromBytes(answer: Buffer): JsonObject | undefined;
  /** The tree of data that was parsed. */
  fromValues(data: JsonObject): JsonObject;
}

export type ReaderFor = (tape: Tape) => AnswerReader;

/** @param operation text of the operation for the subgraph */
export function compileAnswerReader(operation: string, schema: GraphQLSchema): ReaderFor {
  const fields = answerShape(operation, schema);
  const read = compileReader(fields);
  return (tape) => ({
    fromBytes: (answer) => read(tape, answer),
    fromValues: (data) => readValues(tape, fields, data),
  });
}
