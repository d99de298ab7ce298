/**
 * A body that comes drop by drop holds a connection and what has come of it in memory. It has so long to be there; then the
 * request is over, and the connection with it.
 */
import type { preParsingAsyncHookHandler } from 'fastify';
import { FleetgraphError } from '../../platform/errors.js';

export function deadlineOfBody(timeoutMs: number): preParsingAsyncHookHandler {
  return async (_request, reply, payload) => {
    const { raw } = reply;
    // Without a body, or with one that came with the head, there is nothing to wait for.
    const timer = setTimeout(() => {
      raw.setHeader('connection', 'close');
      payload.destroy(
        new FleetgraphError(
          'BAD_USER_INPUT',
          `The body did not come within ${timeoutMs} ms. Send it at once, or in parts that are smaller.`,
        ),
      );
    }, timeoutMs);
    const stop = (): void => clearTimeout(timer);
    payload.once('end', stop);
    payload.once('close', stop);
    return payload;
  };
}
