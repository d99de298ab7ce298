/** Failures that are the event's own: every attempt to handle it would fail in the same way. */
import { ZodError } from 'zod';
import { isPermanentDatabaseError } from '../../platform/database/permanent.js';
import { FleetgraphError, type ErrorCode } from '../../platform/errors.js';
import { EventDecodingError } from '../events/envelope.js';

/** Codes that blame what was sent. NOT_FOUND and CONFLICT may pass when another topic has caught up. */
const faultsOfEvents: ReadonlySet<ErrorCode> = new Set(['BAD_USER_INPUT', 'PAYLOAD_TOO_LARGE', 'FORBIDDEN']);

/** Whether another attempt at the event is of no use: its values are invalid, too large or can't be stored. */
export function isPermanentFailure(error: unknown): boolean {
  if (error instanceof FleetgraphError) return faultsOfEvents.has(error.code);
  // RangeError: an invalid time, a number out of range. SyntaxError: text that is no JSON or number.
  if (error instanceof RangeError || error instanceof SyntaxError) return true;
  return error instanceof ZodError || error instanceof EventDecodingError || isPermanentDatabaseError(error);
}
