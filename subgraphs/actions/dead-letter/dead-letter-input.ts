/** Which dead letters, as the graph names them. */
import { assertStorableText } from '../../../platform/database/storable.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { DeadLetterSelection, DeadLetterStatus } from './dead-letter-rows.js';

/** `DeadLetterFilter` as GraphQL gives it. */
export interface DeadLetterFilter {
  readonly consumer?: string | null;
  readonly type?: string | null;
  readonly cause?: string | null;
  readonly status?: readonly DeadLetterStatus[] | null;
  readonly from?: Date | null;
  readonly to?: Date | null;
}

/** `DeadLettersInput` as GraphQL gives it. */
export interface DeadLettersInput {
  readonly ids?: readonly string[] | null;
  readonly filter?: DeadLetterFilter | null;
}

const maxIds = 1_000;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function isDeadLetterId(id: string): boolean {
  return uuid.test(id);
}

/** @throws FleetgraphError BAD_USER_INPUT with the field at fault. */
export function readFilter(filter: DeadLetterFilter | null | undefined, field: string): DeadLetterSelection {
  const { consumer, type, cause, status, from, to } = filter ?? {};
  const text = (value: string | null | undefined, name: string): string | undefined => {
    if (value === null || value === undefined) return undefined;
    assertStorableText(value, `${field}.${name}`);
    if (value.length < 1 || value.length > 2_000) throw badInput(`${field}.${name}`, 'must be 1 to 2000 characters');
    return value;
  };
  return {
    consumer: text(consumer, 'consumer'),
    type: text(type, 'type'),
    cause: text(cause, 'cause'),
    statuses: status ?? undefined,
    from: from ?? undefined,
    to: to ?? undefined,
  };
}

/**
 * The letters of a replay or discard: by id, or by a filter that names something.
 * @throws FleetgraphError BAD_USER_INPUT with the field at fault.
 */
export function readDeadLettersInput({ ids, filter }: DeadLettersInput): DeadLetterSelection {
  if ((ids === null || ids === undefined) === (filter === null || filter === undefined))
    throw badInput('input', 'must have either "ids" or "filter"');
  if (ids !== null && ids !== undefined) {
    if (ids.length < 1 || ids.length > maxIds) throw badInput('input.ids', `must have 1 to ${maxIds} ids`);
    ids.forEach((id, index) => {
      if (!isDeadLetterId(id)) throw badInput(`input.ids[${index}]`, 'is no id of a dead letter');
    });
    return { ids };
  }
  const selection = readFilter(filter, 'input.filter');
  if (Object.values(selection).every((value) => value === undefined))
    throw badInput('input.filter', 'must name something: a consumer, type, cause or time');
  return selection;
}

function badInput(field: string, what: string): FleetgraphError {
  return new FleetgraphError('BAD_USER_INPUT', `${field} ${what}.`, { field });
}
