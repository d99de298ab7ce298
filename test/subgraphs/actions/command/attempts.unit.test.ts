/** When a command is tried again, and when its progress is told. */
import { describe, expect, test } from 'vitest';
import { dueAt, nextAttemptMs } from '../../../../subgraphs/actions/command/attempts.js';
import type { CommandFact } from '../../../../subgraphs/actions/command/command-fact.js';
import type { CommandInput } from '../../../../subgraphs/actions/command/life-cycle.js';
import { live, request, succeeded, t0, tried } from './command-life.js';

describe('attempts', () => {
  const sent = (attempt: number, at: number): CommandInput => ({ kind: 'dispatched', atMs: t0 + at, attempt });
  const failed = (at: number, more: object = { retryable: true }): CommandInput => ({
    kind: 'acknowledged',
    atMs: t0 + at,
    answer: { status: 'FAILED', error: 'stuck', ...more },
  });
  const tick = (at: number): CommandInput => ({ kind: 'tick', atMs: t0 + at });
  const types = (facts: readonly CommandFact[]) =>
    facts.map(({ type }) => type.replace('io.fleetgraph.command.', '').replace('.v1', ''));

  test('begin again when the device gives no word in time, waiting longer each time, then wait for the end', () => {
    const { command, facts } = live([
      // 2 s after the failure, then 4 s, and up to a quarter more.
      ...[tried, sent(1, 0), tick(4_999), tick(5_000), tick(6_999), tick(7_500)],
      ...[sent(2, 7_500), tick(12_500), tick(16_499), tick(17_500), sent(3, 17_500), tick(22_500), tick(60_000)],
    ]);
    expect(types(facts)).toEqual([
      ...['requested', 'sent', 'attempt-failed', 'retried', 'sent', 'attempt-failed', 'retried', 'sent', 'expired'],
    ]);
    expect(command).toMatchObject({ status: 'EXPIRED', attempt: 3, error: 'no answer within 5 s' });
  });

  test('of commands that failed together do not begin together; of each, always at the same moment', () => {
    const delays = Array.from({ length: 200 }, (_none, index) => {
      const { command } = live([{ ...tried, commandId: `c${index}` }, sent(1, 0)]);
      const atMs = nextAttemptMs(command, t0) ?? Number.NaN;
      expect(nextAttemptMs(command, t0)).toBe(atMs);
      return atMs - t0;
    });
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(2_000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(2_500);
    expect(Math.min(...delays)).toBeLessThan(2_050);
    expect(Math.max(...delays)).toBeGreaterThan(2_450);
    expect(new Set(delays).size).toBeGreaterThan(100);
  });

  test('are not used up while the device is away: its time begins when it was sent the command', () => {
    expect(types(live([tried, tick(50_000), sent(1, 50_000), tick(54_999)]).facts)).toEqual(['requested', 'sent']);
  });

  test('begin again after a failure that need not have been, not after one that is for good', () => {
    const again = live([tried, sent(1, 0), failed(100), tick(2_600), sent(2, 2_700), succeeded]);
    expect(types(again.facts)).toEqual(['requested', 'sent', 'attempt-failed', 'retried', 'sent', 'succeeded']);
    expect(again.command).toMatchObject({ status: 'SUCCEEDED', attempt: 2, error: null, sentAt: new Date(t0) });
    expect(live([tried, sent(1, 0), failed(100, {})]).command).toMatchObject({ status: 'FAILED', attempt: 1 });
    expect(live([request, sent(1, 0), failed(100)]).command.status).toBe('FAILED');
  });

  test('end with a failure when there are no more, or no time for another', () => {
    const last = [
      tried,
      sent(1, 0),
      failed(1),
      tick(2_501),
      sent(2, 2_501),
      failed(2_502),
      tick(7_502),
      sent(3, 7_502),
    ];
    expect(live([...last, failed(7_503)]).command).toMatchObject({ status: 'FAILED', attempt: 3, error: 'stuck' });
    expect(live([tried, sent(1, 57_000), failed(58_001)]).command).toMatchObject({ status: 'FAILED', attempt: 1 });
  });

  test('are not failed by what is told again of an earlier one', () => {
    const second = [tried, sent(1, 0), failed(100), tick(2_600), sent(2, 2_700)];
    const once = live(second).command;
    expect(live([...second, failed(100), failed(2_800, { retryable: true, attempt: 1 })]).command).toEqual(once);
    expect(live([...second, failed(2_800)]).command.retryAt).not.toBeNull();
    expect(live([...second, sent(1, 2_750), sent(2, 2_750)]).command).toEqual(once);
  });

  test('go on as long as the device reports progress', () => {
    const working = [5_000, 9_000, 13_000].map((at): CommandInput => ({
      kind: 'progress',
      atMs: t0 + at - 1,
      report: { progress: at / 200 },
    }));
    const { command } = live([tried, sent(1, 0), ...working, tick(17_998)]);
    expect(command).toMatchObject({ attempt: 1, retryAt: null, progress: 65, status: 'DELIVERED' });
  });
});

describe('progress', () => {
  const at = (ms: number, progress: number, message?: string): CommandInput => ({
    kind: 'progress',
    atMs: t0 + ms,
    report: message === undefined ? { progress } : { progress, message },
  });

  test('says that the device has it, is told at most once a second, and the last is not lost', () => {
    const { command, facts } = live([request, at(0, 1), at(10, 2), at(20, 3, 'heating'), at(999, 4)]);
    expect(facts).toHaveLength(3);
    expect(command).toMatchObject({
      status: 'DELIVERED',
      progress: 1,
      pendingProgress: { progress: 4, message: 'heating' },
    });
    expect(dueAt(command)).toEqual(new Date(t0 + 1_000));
    const told = live([
      request,
      at(0, 1),
      at(10, 2),
      at(20, 3, 'heating'),
      at(999, 4),
      { kind: 'tick', atMs: t0 + 1_000 },
    ]);
    expect(told.command).toMatchObject({ progress: 4, progressMessage: 'heating', pendingProgress: null });
  });

  test('of the whole is told at once', () => {
    expect(live([request, at(0, 1), at(10, 100)]).command).toMatchObject({ progress: 100, pendingProgress: null });
  });
});
