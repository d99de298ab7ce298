/**
 * What one execution asks a subgraph about entities. A plan has the same question at several places: what is asked in one turn
 * goes out together, and an entity that has been asked for is not asked for again, as long as nothing is written.
 */
import { isObject } from '../json.js';
import type { Run } from '../run.js';
import type { EntityAnswer, EntityBatch, Slot, Table } from './entity-batch.js';
import type { Subgraph, SubgraphOperation } from '../subgraphs/subgraph.js';
import type { ReaderFor } from '../tape/answer-reader.js';
import type { Representations } from './representations.js';

export interface Question {
  readonly subgraph: Subgraph;
  readonly operation: SubgraphOperation;
  readonly readerFor: ReaderFor;
  /** The same for all operations that ask for the same. */
  readonly key: string;
  /** Is done to each entity that comes, once. */
  readonly rewriteOutput: ((entity: unknown) => void) | undefined;
}

/** @returns the slots of the entities, in their order. */
export function askForEntities(
  run: Run,
  question: Question,
  { texts, typenames }: Representations,
  variables: string,
  owner: object,
): Slot[] {
  const key = variables === '' ? question.key : `${question.key}\n${variables}`;
  let table = run.entityRequests.get(key);
  if (!table) run.entityRequests.set(key, (table = { slots: new Map(), open: undefined }));
  const { slots } = table;
  return texts.map((text, index) => {
    const known = slots.get(text);
    if (known) return known;
    const batch = (table.open ??= openBatch(run, question, variables, table));
    batch.typenames.push(typenames[index]);
    const slot = { batch, index: batch.texts.push(text) - 1, owner };
    slots.set(text, slot);
    return slot;
  });
}

function openBatch(run: Run, question: Question, variables: string, table: Table): EntityBatch {
  const texts: string[] = [];
  const typenames: unknown[] = [];
  const close = (): void => {
    table.open = undefined;
    // After a write the same question has another answer.
    if (!run.isReadOnly) table.slots.clear();
  };
  return { texts, typenames, answer: fetchBatch(run, question, { texts, typenames }, variables, close) };
}

/** @param close is called when nothing more is added to the batch: after what runs now */
async function fetchBatch(
  { tape, context, signal, cachePolicy }: Run,
  { subgraph, operation, readerFor, rewriteOutput }: Question,
  { texts, typenames }: Pick<EntityBatch, 'texts' | 'typenames'>,
  variables: string,
  close: () => void,
): Promise<EntityAnswer> {
  await Promise.resolve();
  close();
  const reader = readerFor(tape);
  const request = { operation, variables, representations: texts, context, signal, reader };
  const { data, errors, cacheControl } = await subgraph.fetch(request);
  cachePolicy?.restrict(cacheControl);
  const entities = (data?.['_entities'] ?? []) as readonly unknown[];
  if (rewriteOutput)
    entities.forEach((entity, index) => {
      // A subgraph is not asked for the type where it is known; rewrites ask for it.
      if (isObject(entity)) entity['__typename'] ??= typenames[index];
      rewriteOutput(entity);
    });
  return { entities, errors: errors ?? [] };
}
