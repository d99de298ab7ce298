/**
 * GraphQL over Server-Sent Events, distinct connections mode
 * (https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md): each operation is a request of its own, whatever its
 * type. Beyond that protocol, an event carries as `id` the cursor of its payload: a client that comes again sends it as
 * `Last-Event-ID`, and goes on where it was.
 */
import type { StreamFormat } from './http-stream.js';

const complete = 'event: complete\ndata: \n\n';
const endOfEvent = Buffer.from('\n\n');

export const sse: StreamFormat = {
  accepts: ({ type }) => type === 'text/event-stream',
  carriesEverything: true,
  headers: {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    // nginx would collect what belongs to the client at once.
    'x-accel-buffering': 'no',
  },
  opening: () => `retry: ${retryMs()}\n:\n\n`,
  heartbeat: ':\n\n',
  heartbeatMs: 12_000,
  // JSON as it is serialised has no line break.
  payload: ({ bytes, cursor }) => Buffer.concat([Buffer.from(`event: next\n${idOf(cursor)}data: `), bytes, endOfEvent]),
  complete,
  failure: (errors) => `event: next\ndata: ${JSON.stringify({ errors })}\n\n${complete}`,
  // Without a `complete`, so that clients come again by themselves and resume.
  interruption: () => '',
};

/**
 * How long a client waits before it comes again (`retry`, https://html.spec.whatwg.org/multipage/server-sent-events.html).
 * Each has its own: those of a gateway that went away don't all come to the next one at once.
 */
function retryMs(): number {
  return Math.round(1_000 + Math.random() * 4_000);
}

function idOf(cursor: string | undefined): string {
  // A line break would begin another field, and browsers ignore an id with NUL.
  return cursor === undefined || /[\0\r\n]/.test(cursor) ? '' : `id: ${cursor}\n`;
}
