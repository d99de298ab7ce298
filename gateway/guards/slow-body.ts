/**
 * A body that comes drop by drop holds a connection and what has come of it in memory. It has so long to be there; then the
 * request is answered as it is, and its connection ends.
 */
import type { preParsingAsyncHookHandler } from 'fastify';

export function deadlineOfBody(timeoutMs: number): preParsingAsyncHookHandler {
  const message = `The body did not come within ${timeoutMs} ms. Send it at once, or in parts that are smaller.`;
  const answer = JSON.stringify({ errors: [{ message, extensions: { code: 'BAD_USER_INPUT' } }] });
  return async (_request, reply, payload) => {
    const { raw } = reply;
    const timer = setTimeout(() => {
      // Refused already, for its length or its type.
      if (raw.headersSent || raw.destroyed) return;
      reply.hijack();
      raw.writeHead(408, { 'content-type': 'application/json; charset=utf-8', connection: 'close' });
      raw.end(answer, () => payload.destroy());
    }, timeoutMs);
    const stop = (): void => clearTimeout(timer);
    payload.once('end', stop);
    payload.once('close', stop);
    raw.once('close', stop);
    return payload;
  };
}
