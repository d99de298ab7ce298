/** The arguments of `sendCommands`, checked. */
import { readSelector, selectsAll, type DeviceSelector } from '../../../backbone/devices/label-selector.js';
import {
  badInput,
  readIdempotencyKey,
  readOrder,
  type SendCommandInput,
  type SendRequest,
} from '../command/command-input.js';

/** `SendCommandsInput` as GraphQL gives it. */
export interface SendCommandsInput extends Pick<
  SendCommandInput,
  'name' | 'parameters' | 'timeToLive' | 'retry' | 'idempotencyKey'
> {
  readonly selector: unknown;
  readonly maxOpen?: number | null;
  readonly perSecond?: number | null;
}

/** What each device of a job is to do, and how fast they are asked. */
export interface JobOrder extends Pick<SendRequest, 'name' | 'parameters' | 'timeToLiveMs' | 'retry'> {
  /** Most commands that are open at once. */
  readonly maxOpen: number | undefined;
  /** Most commands that are made in a second. */
  readonly perSecond: number | undefined;
}

export interface SendManyRequest {
  readonly selector: DeviceSelector;
  readonly order: JobOrder;
  readonly idempotencyKey: string | undefined;
}

/** @throws FleetgraphError BAD_USER_INPUT with the field at fault. */
export function readSendCommandsInput(input: SendCommandsInput): SendManyRequest {
  const selector = readSelector(input.selector, 'input.selector');
  if (selectsAll(selector))
    throw badInput('input.selector', 'has no condition; to send to a whole fleet, name its types in "typeIds"');
  return {
    selector,
    order: {
      ...readOrder(input),
      maxOpen: limit(input.maxOpen, 100_000, 'input.maxOpen'),
      perSecond: limit(input.perSecond, 10_000, 'input.perSecond'),
    },
    idempotencyKey: readIdempotencyKey(input.idempotencyKey),
  };
}

function limit(value: number | null | undefined, max: number, field: string): number | undefined {
  if (value === null || value === undefined) return undefined;
  if (value < 1 || value > max) throw badInput(field, `must be from 1 to ${max}`);
  return value;
}
