/** What a device says about a command, on its topic `command/ack`: that it has it, how far it is, or what became of it. */
import type { EventData } from '../../backbone/events/catalogue.js';
import { isStorableText } from '../../platform/database/storable.js';
import { isObject, parseJson, RejectedPayload } from '../decoders/decoder.js';

/** Levels of nesting in the result of a command. The actions role mends what it can't keep; beyond this nobody can write it. */
const maxResultDepth = 1_000;
/** An error or a message of progress may be this long; the rest is cut off. */
const maxTextLength = 1_024;

type Acknowledged = EventData<'io.fleetgraph.command.acknowledged.v1'>;
type Progress = EventData<'io.fleetgraph.command.progress-reported.v1'>;

export type CommandAnswer =
  /** It has it, and will answer. */
  | { readonly commandId: string; readonly status: 'RECEIVED' }
  | ({ readonly status: 'IN_PROGRESS' } & Omit<Progress, 'deviceId' | 'at'>)
  | Omit<Acknowledged, 'deviceId' | 'at'>;

const statuses = ['RECEIVED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'REJECTED'] as const;

/** Reads an answer. @throws RejectedPayload when it is none. */
export function readAck(text: string): CommandAnswer {
  const ack = parseJson(text);
  if (!isObject(ack) || typeof ack['id'] !== 'string' || ack['id'] === '' || ack['id'].length > 128) {
    throw new RejectedPayload(
      'wrong_shape',
      'An acknowledgement is {"id": "…", "status"?: "…", "result"?: …, "error"?: "…"}.',
    );
  }
  if (!isStorableText(ack['id']))
    throw new RejectedPayload('not_storable', 'The id of an acknowledgement has a character that can not be stored.');
  const commandId = ack['id'];
  const given = ack['status'] ?? 'SUCCEEDED';
  const status = statuses.find((known) => known === given);
  switch (status) {
    case 'RECEIVED':
      return { commandId, status };
    case 'IN_PROGRESS':
      return { commandId, status, ...readProgress(ack) };
    case 'SUCCEEDED':
    case 'FAILED':
    case 'REJECTED': {
      const { result, error, retryable, attempt } = ack;
      checkResult(result);
      return {
        commandId,
        status,
        ...(result === undefined ? {} : { result: result as Acknowledged['result'] }),
        ...(typeof error === 'string' ? { error: error.slice(0, maxTextLength) } : {}),
        ...(status === 'FAILED' && retryable === true ? { retryable } : {}),
        ...(typeof attempt === 'number' && Number.isSafeInteger(attempt) && attempt >= 1 ? { attempt } : {}),
      };
    }
    case undefined:
      throw new RejectedPayload(
        'wrong_shape',
        'The status of an acknowledgement is RECEIVED, IN_PROGRESS, SUCCEEDED, FAILED or REJECTED.',
      );
  }
}

function readProgress({
  progress,
  message,
}: Readonly<Record<string, unknown>>): Pick<Progress, 'progress' | 'message'> {
  if (progress !== undefined && !(typeof progress === 'number' && progress >= 0 && progress <= 100))
    throw new RejectedPayload('wrong_shape', 'The progress of a command is a number from 0 to 100.');
  return {
    ...(progress === undefined ? {} : { progress }),
    ...(typeof message === 'string' ? { message: message.slice(0, maxTextLength) } : {}),
  };
}

/** Level by level, not by recursion, which is what the sender's nesting must not exhaust. @throws RejectedPayload. */
function checkResult(result: unknown): void {
  let open = [result];
  for (let level = 0; open.length > 0; level += 1) {
    if (level > maxResultDepth)
      throw new RejectedPayload('not_storable', `The result is nested deeper than ${maxResultDepth} levels.`);
    if (open.some((item) => typeof item === 'number' && !Number.isFinite(item)))
      throw new RejectedPayload('not_finite', 'The result has a number that is too large to be one.');
    open = open.flatMap((item): unknown[] => (typeof item === 'object' && item !== null ? Object.values(item) : []));
  }
}
