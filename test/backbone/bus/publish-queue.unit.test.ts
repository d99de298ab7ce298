import { describe, expect, test } from 'vitest';
import type { AssignedRecord } from '../../../backbone/bus/partitioner.js';
import { createPublishQueue, type PublishQueue } from '../../../backbone/bus/publish-queue.js';
import { eventually } from '../../world/eventually.js';

interface Flush {
  readonly values: readonly string[];
  commit(): void;
  fail(error: Error): void;
}

/** A queue in front of a log that commits or fails when the test says so. */
function createWorld(settings: { maxQueuedBytes?: number; records?: number } = {}): {
  queue: PublishQueue;
  flushes: Flush[];
} {
  const flushes: Flush[] = [];
  const queue = createPublishQueue({
    append: (records) =>
      new Promise((resolve, reject) => {
        flushes.push({ values: records.map(({ value }) => value), commit: resolve, fail: reject });
      }),
    faultOf: (error) => (error === away ? 'away' : error === unstorable ? 'content' : 'defect'),
    onFlushed: () => undefined,
    onFailed: () => undefined,
    limits: { records: settings.records ?? 100, bytes: 1_000_000 },
    maxQueuedBytes: settings.maxQueuedBytes ?? 1_000_000,
  });
  return { queue, flushes };
}

function records(...values: string[]): AssignedRecord[] {
  return values.map((value) => ({ topic: 't', partition: 0, key: 'k', value, headers: {} }));
}

async function flushNumber(flushes: readonly Flush[], number: number): Promise<Flush> {
  return eventually(() => {
    const flush = flushes[number - 1];
    if (flush === undefined) throw new Error(`there is no flush ${number}`);
    return flush;
  });
}

/** What has become of calls by now. */
function outcomes(calls: readonly Promise<void>[]): string[] {
  const states = calls.map(() => 'waits');
  for (const [index, call] of calls.entries())
    call.then(
      () => (states[index] = 'stored'),
      (error: unknown) => (states[index] = (error as { code?: string }).code ?? 'failed'),
    );
  return states;
}

const away = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const unstorable = Object.assign(new Error('unsupported Unicode escape sequence'), { code: '22P05' });

describe('publish queue', () => {
  test('shares one flush among the calls of a tick, and the next among those that came while it ran', async () => {
    const { queue, flushes } = createWorld();
    const calls = [queue.push(records('1')), queue.push(records('2'))];
    const first = await flushNumber(flushes, 1);
    calls.push(queue.push(records('3')), queue.push(records('4')));
    const states = outcomes(calls);
    expect(first.values).toEqual(['1', '2']);
    expect(flushes).toHaveLength(1);
    first.commit();
    const second = await flushNumber(flushes, 2);
    expect(second.values).toEqual(['3', '4']);
    expect(states).toEqual(['stored', 'stored', 'waits', 'waits']);
    second.commit();
    await queue.drain();
    expect(states).toEqual(['stored', 'stored', 'stored', 'stored']);
    expect(queue.depth()).toBe(0);
  });

  test('resolves a call of many flushes only after the last of them', async () => {
    const { queue, flushes } = createWorld({ records: 2 });
    const states = outcomes([queue.push(records('1', '2', '3', '4', '5'))]);
    for (const [index, expected] of [['1', '2'], ['3', '4'], ['5']].entries()) {
      const flush = await flushNumber(flushes, index + 1);
      expect(flush.values).toEqual(expected);
      expect(states).toEqual(['waits']);
      flush.commit();
    }
    await queue.drain();
    expect(states).toEqual(['stored']);
  });

  test('rejects with a failed flush every call that waits behind it, and stores what is published after', async () => {
    const { queue, flushes } = createWorld();
    const calls = [queue.push(records('1'))];
    const first = await flushNumber(flushes, 1);
    calls.push(queue.push(records('2')), queue.push(records('3')));
    const states = outcomes(calls);
    first.fail(away);
    await eventually(() => expect(states).toEqual(['UNAVAILABLE', 'UNAVAILABLE', 'UNAVAILABLE']));
    expect(queue.depth()).toBe(0);
    const again = outcomes([queue.push(records('1')), queue.push(records('2'))]);
    const second = await flushNumber(flushes, 2);
    expect(second.values).toEqual(['1', '2']);
    second.commit();
    await eventually(() => expect(again).toEqual(['stored', 'stored']));
  });

  test('refuses only the call at fault when records can not be stored for what they hold', async () => {
    const { queue, flushes } = createWorld();
    const states = outcomes([queue.push(records('1')), queue.push(records('\0')), queue.push(records('3'))]);
    (await flushNumber(flushes, 1)).fail(unstorable);
    (await flushNumber(flushes, 2)).commit();
    (await flushNumber(flushes, 3)).fail(unstorable);
    (await flushNumber(flushes, 4)).commit();
    await queue.drain();
    expect(flushes.map(({ values }) => values)).toEqual([['1', '\0', '3'], ['1'], ['\0'], ['3']]);
    expect(states).toEqual(['stored', 'BAD_USER_INPUT', 'stored']);
  });

  test('rejects the rest when the log goes away while it looks for the call at fault', async () => {
    const { queue, flushes } = createWorld();
    const states = outcomes([queue.push(records('1')), queue.push(records('2')), queue.push(records('3'))]);
    (await flushNumber(flushes, 1)).fail(unstorable);
    (await flushNumber(flushes, 2)).commit();
    (await flushNumber(flushes, 3)).fail(away);
    await queue.drain();
    expect(states).toEqual(['stored', 'UNAVAILABLE', 'UNAVAILABLE']);
    expect(flushes).toHaveLength(3);
  });

  test('refuses calls while it is full, also small ones that would still fit, until half of it is stored', async () => {
    const { queue, flushes } = createWorld({ maxQueuedBytes: 1_000, records: 1 });
    const large = 'x'.repeat(400);
    const accepted = outcomes([queue.push(records(large)), queue.push(records(large))]);
    await expect(queue.push(records(large))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(queue.push(records('small'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    (await flushNumber(flushes, 1)).commit();
    const second = await flushNumber(flushes, 2);
    const later = outcomes([queue.push(records('small'))]);
    second.commit();
    (await flushNumber(flushes, 3)).commit();
    await queue.drain();
    expect(accepted).toEqual(['stored', 'stored']);
    expect(later).toEqual(['stored']);
  });

  test('takes a call that is larger than the whole queue when nothing else waits', async () => {
    const { queue, flushes } = createWorld({ maxQueuedBytes: 100 });
    const states = outcomes([queue.push(records('x'.repeat(5_000)))]);
    (await flushNumber(flushes, 1)).commit();
    await queue.drain();
    expect(states).toEqual(['stored']);
  });

  test('has nothing to do for a call without records', async () => {
    const { queue, flushes } = createWorld();
    await queue.push([]);
    await queue.drain();
    expect(flushes).toHaveLength(0);
  });
});
