/**
 * Apollo's multipart protocol for subscriptions over HTTP
 * (https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol), which Apollo Client,
 * Apollo Kotlin and Apollo iOS speak. What is no subscription is answered as ever, with JSON.
 * A boundary follows each part at once: clients take a part for whole when they have seen the boundary behind it.
 */
import type { StreamFormat } from './http-stream.js';

const boundary = '\r\n--graphql';
const partHeaders = '\r\ncontent-type: application/json\r\n\r\n';
const beforePayload = Buffer.from(`${partHeaders}{"payload":`);
const behindPayload = Buffer.from(`}${boundary}`);
/** Behind a boundary: that it was the last. */
const end = '--\r\n';

export const multipart: StreamFormat = {
  accepts: ({ type, parameters }) => type === 'multipart/mixed' && parameters.get('subscriptionspec') === '1.0',
  carriesEverything: false,
  headers: {
    'content-type': 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  },
  opening: () => boundary,
  heartbeat: `${partHeaders}{}${boundary}`,
  heartbeatMs: 5_000,
  payload: ({ bytes }) => Buffer.concat([beforePayload, bytes, behindPayload]),
  complete: end,
  failure,
  interruption: failure,
};

function failure(errors: readonly object[]): string {
  return `${partHeaders}${JSON.stringify({ payload: null, errors })}${boundary}${end}`;
}
