/** In which format an operation is answered, by its kind and by what its client takes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createAcceptanceOf, errorTypeFor, streamFor } from '../../../gateway/transports/answer-format.js';
import { multipart } from '../../../gateway/transports/multipart.js';
import { sse } from '../../../gateway/transports/sse.js';
import { acceptOfApollo, acceptOfUrql } from './request-forms.js';

const acceptanceOf = createAcceptanceOf();
const [json, modern] = ['application/json; charset=utf-8', 'application/graphql-response+json; charset=utf-8'];

test.each([
  // accept, of a query, of a subscription: a stream, or the type of JSON
  [undefined, json, json],
  ['', json, json],
  ['*/*', json, json],
  ['application/json', json, json],
  ['application/graphql-response+json', modern, modern],
  ['text/html', undefined, undefined],
  ['text/event-stream', sse, sse],
  ['Text/Event-Stream; charset=utf-8', sse, sse],
  ['text/event-stream;q=0', undefined, undefined],
  [acceptOfUrql, modern, sse],
  [acceptOfApollo, json, multipart],
  ['multipart/mixed;subscriptionSpec="1.0"', undefined, multipart],
  ['multipart/mixed', undefined, undefined],
  ['multipart/mixed, application/json', json, json],
  ['application/json;q=0.5, text/event-stream', sse, sse],
  ['text/event-stream, multipart/mixed;subscriptionSpec=1.0', sse, sse],
  ['multipart/mixed;subscriptionSpec=1.0, text/event-stream', undefined, multipart],
] as const)('accept: %s', (accept, query, subscription) => {
  const acceptance = acceptanceOf(accept);
  const formatFor = (isSubscription: boolean) => streamFor(acceptance, isSubscription) ?? acceptance.json?.contentType;
  expect([formatFor(false), formatFor(true)]).toEqual([query, subscription]);
  // Remembered, it is the same.
  expect(acceptanceOf(accept)).toBe(acceptance);
});

test('an error has the status of its code for clients that prefer a stream', () => {
  expect(errorTypeFor(acceptanceOf('application/json')).isAlwaysOk).toBe(true);
  expect(errorTypeFor(acceptanceOf(acceptOfApollo)).isAlwaysOk).toBe(false);
  expect(errorTypeFor(acceptanceOf('text/html')).contentType).toBe(json);
});

test('no header makes it fail, and only one that names a stream gets one', () => {
  const part = fc.constantFrom(
    'text/event-stream',
    'multipart/mixed',
    'application/json',
    '*/*',
    ';q=0',
    ';q=x',
    ',',
    ' ',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(part).map((parts) => parts.join('')),
      ),
      (accept) => {
        const stream = streamFor(acceptanceOf(accept), true);
        if (stream) expect(accept).toMatch(/event-stream|multipart/);
        else expect(streamFor(acceptanceOf(accept), false)).toBeUndefined();
      },
    ),
  );
});
