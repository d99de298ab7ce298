/** The arguments of the mutations, checked: what comes out of here can be decided on and stored. */
import type { RetryPolicy } from '../../../backbone/events/catalogue.js';
import { FleetgraphError } from '../../../platform/errors.js';
import {
  assertStorableJson,
  assertStorableText,
  isStorableText,
  type Json,
} from '../../../platform/database/storable.js';
import { timeToLiveMs } from './time-to-live.js';

export const maxParametersBytes = 16_384;
export const maxParametersDepth = 32;
/** What `once` keeps. */
const maxIdempotencyKeyLength = 200;
const mostAttempts = 10;

/** `SendCommandInput` as GraphQL gives it: the types are right, the values unchecked. */
export interface SendCommandInput {
  readonly deviceId: string;
  readonly name: string;
  readonly parameters?: unknown;
  readonly timeToLive?: string | null;
  readonly retry?: RetryInput | null;
  readonly idempotencyKey?: string | null;
}

/** `CommandRetryInput` as GraphQL gives it. */
export interface RetryInput {
  readonly maxAttempts?: number | null;
  readonly answerTimeout?: string | null;
  readonly backoff?: string | null;
}

/** `CancelCommandInput` as GraphQL gives it. */
export interface CancelCommandInput {
  readonly id: string;
  readonly idempotencyKey?: string | null;
}

export interface SendRequest {
  readonly deviceId: string;
  readonly name: string;
  readonly parameters: Json;
  readonly timeToLiveMs: number;
  readonly retry?: RetryPolicy | undefined;
  readonly idempotencyKey: string | undefined;
}

export interface CancelRequest {
  readonly id: string;
  readonly idempotencyKey: string | undefined;
}

/** @throws FleetgraphError BAD_USER_INPUT with the field at fault. */
export function readSendCommandInput(input: SendCommandInput): SendRequest {
  if (!isPossibleId(input.deviceId)) throw badInput('input.deviceId', 'is no id of a device');
  return {
    deviceId: input.deviceId,
    ...readOrder(input),
    idempotencyKey: readIdempotencyKey(input.idempotencyKey),
  };
}

/** What is to be done, and how long and how often it is tried: the same for one device and for many. */
export function readOrder(
  input: Pick<SendCommandInput, 'name' | 'parameters' | 'timeToLive' | 'retry'>,
): Pick<SendRequest, 'name' | 'parameters' | 'timeToLiveMs' | 'retry'> {
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(input.name))
    throw badInput('input.name', 'must be 1 to 64 letters, digits, "_", "." or "-"');
  return {
    name: input.name,
    parameters: readParameters(input.parameters ?? {}, 'input.parameters'),
    timeToLiveMs: timeToLiveMs(input.timeToLive ?? 'PT1M', 'input.timeToLive'),
    retry: readRetry(input.retry),
  };
}

function readRetry(input: RetryInput | null | undefined): RetryPolicy | undefined {
  if (input === null || input === undefined) return undefined;
  const maxAttempts = input.maxAttempts ?? 3;
  if (maxAttempts < 1 || maxAttempts > mostAttempts)
    throw badInput('input.retry.maxAttempts', `must be from 1 to ${mostAttempts}`);
  const answerTimeoutMs = timeToLiveMs(input.answerTimeout ?? 'PT10S', 'input.retry.answerTimeout');
  const backoffMs = timeToLiveMs(input.backoff ?? 'PT5S', 'input.retry.backoff');
  return maxAttempts === 1 ? undefined : { maxAttempts, answerTimeoutMs, backoffMs };
}

/** @throws FleetgraphError BAD_USER_INPUT with the field at fault. */
export function readCancelCommandInput(input: CancelCommandInput, what = 'a command'): CancelRequest {
  if (!isPossibleId(input.id)) throw badInput('input.id', `is no id of ${what}`);
  return { id: input.id, idempotencyKey: readIdempotencyKey(input.idempotencyKey) };
}

/** Whether anything could have this id; asking the database for others is pointless or (U+0000) an error. */
export function isPossibleId(id: string): boolean {
  return id.length >= 1 && id.length <= 128 && isStorableText(id);
}

function readParameters(value: unknown, field: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badInput(field, 'must be a JSON object, e.g. { "celsius": 21 }');
  const parameters = value as { readonly [key: string]: Json };
  // The depth first: JSON.stringify recurses.
  assertStorableJson(parameters, field, maxParametersDepth);
  const bytes = Buffer.byteLength(JSON.stringify(parameters));
  if (bytes > maxParametersBytes)
    throw badInput(field, `is ${bytes} bytes of JSON; at most ${maxParametersBytes} can be sent to a device`);
  return parameters;
}

export function readIdempotencyKey(key: string | null | undefined): string | undefined {
  if (key === null || key === undefined) return undefined;
  assertStorableText(key, 'input.idempotencyKey');
  if (key.length < 1 || key.length > maxIdempotencyKeyLength)
    throw badInput('input.idempotencyKey', `must be 1 to ${maxIdempotencyKeyLength} characters`);
  return key;
}

export function badInput(field: string, what: string): FleetgraphError {
  return new FleetgraphError('BAD_USER_INPUT', `${field} ${what}.`, { field });
}
