import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventFrame, MalformedEvent, NotJson } from '../../../gateway/subscriptions/event-frame.js';
import { exactJson } from '../../../platform/json/exact-json.js';

const frameOf = (payload: unknown) => new EventFrame(Buffer.from(JSON.stringify(payload)));
const answerOf = (frame: EventFrame): unknown => JSON.parse(frame.answer()?.toString() ?? 'null');

/** JSON that looks as much as possible like what the text is cut by. */
const devious = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom('"errors":', ',"extensions":{"stream":{"cursor":"x"}}}', '"extensions":', '}', '\\"', 'é', null, 1),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('extensions', 'stream', 'data', 'cursor', 'errors', 'a'), tie('value')),
  ),
})).value;
const stream = fc.record({ cursor: fc.string(), position: fc.string() }, { requiredKeys: ['cursor'] });

test('the answer is the data and nothing else, whatever is in it and whatever is said beside it', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), devious), fc.option(stream), (data, beside) => {
      const payload = { data, ...(beside ? { extensions: { stream: beside } } : {}) };
      const frame = frameOf(payload);
      expect(frame.stream).toEqual(beside ?? undefined);
      expect(frame.result()).toEqual(JSON.parse(JSON.stringify(payload)));
      // Where the text could mean two things it is parsed, and there is no answer as it is.
      const answer = frame.answer();
      if (answer) expect(JSON.parse(answer.toString())).toEqual(JSON.parse(JSON.stringify({ data })));
    }),
    { numRuns: 500 },
  );
});

test('what subgraphs send is cut, not parsed: with what is said beside it, without, and as a mark', () => {
  const data = { deviceState: { cursor: 'c', text: 'says "errors" and \\ é' } };
  const place = frameOf({ data, extensions: { stream: { position: '7', cursor: 'c', key: 'k' } } });
  expect([answerOf(place), place.stream]).toEqual([{ data }, { position: '7', cursor: 'c', key: 'k' }]);
  const alone = frameOf({ data });
  expect([answerOf(alone), alone.stream]).toEqual([{ data }, undefined]);
  const mark = frameOf({ data: null, extensions: { stream: { mark: { position: '7' } } } });
  expect(mark.stream).toEqual({ mark: { position: '7' } });
});

test('with errors, or with other things said beside it, it has to be looked at', () => {
  const errors = [{ message: 'partly' }];
  const told = { extensions: { stream: { cursor: 'c' } } };
  for (const payload of [
    { errors, data: null, ...told },
    { data: { a: null }, errors, ...told },
    { data: { a: 1 }, extensions: { cost: 1, stream: { cursor: 'c' } } },
    { data: { a: { extensions: { stream: { cursor: 'no' } } } }, extensions: { stream: { cursor: 'c' }, cost: 1 } },
  ]) {
    const frame = frameOf(payload);
    expect(frame.answer()).toBeUndefined();
    expect(frame.stream).toEqual({ cursor: 'c' });
    expect(frame.result()).toEqual(payload);
  }
  expect(() => new EventFrame(Buffer.from('nonsense'))).toThrow(SyntaxError);
});

test('distinguishes text that is no JSON from JSON that is no result', () => {
  for (const text of ['', '{', 'nonsense', '{"data":{},}'])
    expect(() => new EventFrame(Buffer.from(text)).result()).toThrow(NotJson);
  for (const payload of [{}, null, [], 5, 'x', { data: 5 }, { data: [] }, { data: null }, { data: {}, errors: 5 }])
    expect(() => frameOf(payload).result()).toThrow(MalformedEvent);
  for (const payload of [
    { errors: [] },
    { errors: 'x', data: {} },
    { data: null, extensions: { stream: { mark: 5 } } },
  ])
    expect(() => frameOf({ ...payload, a: 1 }).result()).toThrow(MalformedEvent);
  expect(frameOf({ data: null, errors: [{}] }).result()).toEqual({ data: null, errors: [{}] });
  expect(frameOf({ errors: [null, 5] }).result()).toEqual({ data: null, errors: [null, 5] });
  expect(frameOf({ data: {}, errors: [] }).result()).toEqual({ data: {} });
});

test('what a subgraph that knows nothing of streams calls so is left alone', () => {
  for (const said of ['x', 5, null, []])
    expect(frameOf({ data: {}, extensions: { stream: said } }).stream).toBeUndefined();
});

test('numbers beyond 2^53 keep their digits when an event is parsed', () => {
  const text = '{"data":{"id":9007199254740993,"n":1},"errors":[{"message":"x"}]}';
  expect(exactJson(new EventFrame(Buffer.from(text)).result().data)).toBe('{"id":9007199254740993,"n":1}');
});

test('the answer is a copy of its own, and holds no larger buffer', () => {
  const chunk = Buffer.from(`before${JSON.stringify({ data: { a: 1 } })}`);
  const answer = new EventFrame(chunk.subarray('before'.length)).answer();
  chunk.fill(0);
  expect(answer?.toString()).toBe('{"data":{"a":1}}');
});
