import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeEvent } from '../../../../backbone/events/envelope.js';
import { isFinal, type Command, type CommandStatus } from '../../../../subgraphs/actions/command/command.js';
import { dueAt, nextAttemptMs } from '../../../../subgraphs/actions/command/attempts.js';
import { statusAfter, statusBrought, type CommandFact } from '../../../../subgraphs/actions/command/command-fact.js';
import { decide, evolve, hold, type CommandInput } from '../../../../subgraphs/actions/command/life-cycle.js';

const t0 = Date.parse('2026-11-23T08:00:00.000Z');
const request: CommandInput = {
  ...{ kind: 'request', atMs: t0, tenant: 'acme', commandId: 'c1', deviceId: 'd1' },
  ...{ name: 'setpoint', parameters: { celsius: 21 }, timeToLiveMs: 60_000 },
};
const succeeded: CommandInput = { kind: 'acknowledged', atMs: t0 + 30, answer: { status: 'SUCCEEDED', result: 7 } };

/** The command and its facts after the inputs. */
function live(inputs: readonly CommandInput[]): { command: Command; facts: readonly CommandFact[] } {
  let command: Command | undefined;
  const facts: CommandFact[] = [];
  for (const input of inputs) {
    const following = decide(command, input);
    for (const fact of following) {
      facts.push(fact);
      command = evolve(command, fact);
    }
    if (following.length === 0 && command !== undefined) command = hold(command, input);
  }
  if (command === undefined) throw new Error('nothing was requested');
  return { command, facts };
}

const rank: Readonly<Record<CommandStatus, number>> = {
  ...{ QUEUED: 0, SENT: 1, DELIVERED: 2, SUCCEEDED: 3, FAILED: 3, REJECTED: 3, EXPIRED: 3, CANCELED: 3 },
};

function isEnd(fact: CommandFact): boolean {
  const status = statusBrought(fact);
  return status !== undefined && isFinal(status);
}

/** Any time around the life of the command, also before it and behind its expiry. */
const atMs = fc.integer({ min: t0 - 5_000, max: t0 + 120_000 });
const anyInput: fc.Arbitrary<CommandInput> = fc.oneof(
  fc.constant(request),
  fc.record({ kind: fc.constantFrom('dispatched', 'received', 'cancel', 'tick'), atMs }),
  fc.record({
    kind: fc.constant('acknowledged'),
    atMs,
    answer: fc.oneof(
      fc.record({ status: fc.constant('SUCCEEDED' as const), result: fc.jsonValue() }),
      fc.record({ status: fc.constantFrom('FAILED' as const, 'REJECTED' as const), error: fc.string() }),
    ),
  }) as fc.Arbitrary<CommandInput>,
);
const anyLife = fc.array(anyInput, { maxLength: 30 }).map((inputs) => [request, ...inputs]);

const retry = { maxAttempts: 3, answerTimeoutMs: 5_000, backoffMs: 2_000 };
const tried: CommandInput = { ...request, retry };
const anyAttempt = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
/** The same with attempts and progress: what a device that is flaky, slow, or a liar says. */
const anyTry: fc.Arbitrary<CommandInput> = fc.oneof(
  anyInput,
  fc.record({ kind: fc.constant('dispatched' as const), atMs, attempt: anyAttempt }),
  fc.record({ kind: fc.constant('tick' as const), atMs }),
  fc.record({
    ...{ kind: fc.constant('progress' as const), atMs },
    report: fc.record({ progress: fc.constantFrom(0, 40, 100), message: fc.string() }, { requiredKeys: [] }),
  }),
  fc.record({
    ...{ kind: fc.constant('acknowledged' as const), atMs },
    answer: fc.record({
      ...{ status: fc.constant('FAILED' as const), error: fc.string() },
      ...{ retryable: fc.boolean(), attempt: anyAttempt },
    }),
  }),
);
const anyTriedLife = fc
  .tuple(fc.constantFrom(request, tried), fc.array(anyTry, { maxLength: 40 }))
  .map(([first, inputs]) => [first, ...inputs]);

describe('whatever is heard, in any order and with repeats', () => {
  test('the status never goes back, and at most one final one is reached', () => {
    fc.assert(
      fc.property(anyLife, (inputs) => {
        const { facts } = live(inputs);
        const ranks = facts.map((fact) => rank[statusBrought(fact) ?? 'QUEUED']);
        expect(ranks.every((value, index) => index === 0 || value > (ranks[index - 1] ?? 0))).toBe(true);
        expect(facts.filter(isEnd).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 2_000 },
    );
  });

  test('the first answer, cancellation or tick behind the expiry is what ends it', () => {
    fc.assert(
      fc.property(anyLife, (inputs) => {
        const ends = inputs.find(
          (input) =>
            input.kind === 'acknowledged' ||
            input.kind === 'cancel' ||
            (input.kind === 'tick' && input.atMs >= t0 + 60_000),
        );
        const { command } = live(inputs);
        const expected =
          ends === undefined
            ? false
            : ends.kind === 'acknowledged'
              ? ends.answer.status
              : ends.kind === 'cancel'
                ? 'CANCELED'
                : 'EXPIRED';
        expect(isFinal(command.status) && command.status).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  test('hearing everything again changes nothing once it has ended', () => {
    fc.assert(
      fc.property(anyLife, fc.array(anyInput), (inputs, more) => {
        const { command } = live([...inputs, { kind: 'cancel', atMs: t0 }]);
        for (const input of [...inputs, ...more]) expect(decide(command, input)).toEqual([]);
      }),
    );
  });

  test('an input that is given twice in a row has the effect of one', () => {
    fc.assert(
      fc.property(anyLife, (inputs) => {
        expect(live(inputs.flatMap((input) => [input, input]))).toEqual(live(inputs));
      }),
    );
  });

  test('the facts alone, as the events of the catalogue, make the same command again, one revision each', () => {
    fc.assert(
      fc.property(anyLife, (inputs) => {
        const { command, facts } = live(inputs);
        const events = facts.map((fact) => makeEvent({ ...fact, source: '/actions', subject: fact.data.deviceId }));
        const again = events.reduce<Command | undefined>((state, event) => evolve(state, event), undefined);
        expect(again).toEqual(command);
        expect(command.revision).toBe(facts.length);
      }),
    );
  });

  test('its times never run backwards, and it has a time of completion exactly when it has ended', () => {
    fc.assert(
      fc.property(anyLife, (inputs) => {
        const { command, facts } = live(inputs);
        const times = facts.map((fact) => Date.parse(fact.time));
        expect(times).toEqual([...times].sort((a, b) => a - b));
        expect(command.updatedAt.getTime()).toBe(times.at(-1));
        expect(command.completedAt?.getTime()).toBe(isFinal(command.status) ? times.at(-1) : undefined);
      }),
    );
  });
});

describe('with attempts and progress, whatever is heard, in any order and with repeats', () => {
  test('the status never goes back, exactly one final one is reached, and nothing happens after it', () => {
    fc.assert(
      fc.property(anyTriedLife, (inputs) => {
        const { command, facts } = live([...inputs, { kind: 'tick', atMs: t0 + 60_000 }]);
        let before: CommandStatus = 'QUEUED';
        for (const fact of facts) {
          const after = statusAfter(fact, before);
          expect(rank[after]).toBeGreaterThanOrEqual(rank[before]);
          before = after;
        }
        expect(facts.filter(isEnd)).toEqual([facts.at(-1)]);
        expect(isFinal(command.status)).toBe(true);
        for (const input of inputs) expect(decide(command, input)).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  test('there are never more attempts than wanted, and each follows on the failure of the one before', () => {
    fc.assert(
      fc.property(anyTriedLife, (inputs) => {
        const { command, facts } = live(inputs);
        expect(command.attempt).toBeLessThanOrEqual(command.retry?.maxAttempts ?? 1);
        const attempts = facts.flatMap((fact) =>
          fact.type === 'io.fleetgraph.command.retried.v1' ? [fact.data.attempt] : [],
        );
        expect(attempts).toEqual(attempts.map((_, index) => index + 2));
        const sent = facts.flatMap((fact) =>
          fact.type === 'io.fleetgraph.command.sent.v1' ? [fact.data.attempt ?? 1] : [],
        );
        expect(sent).toEqual([...new Set(sent)].sort());
      }),
      { numRuns: 2_000 },
    );
  });

  test('the clock alone brings every command to its end: what is due is done, and nothing is due for ever', () => {
    fc.assert(
      fc.property(anyTriedLife, (inputs) => {
        let { command } = live(inputs);
        for (let ticks = 0; !isFinal(command.status); ticks += 1) {
          expect(ticks).toBeLessThan(20);
          const facts = decide(command, { kind: 'tick', atMs: dueAt(command).getTime() });
          expect(facts.length).toBeGreaterThan(0);
          command = facts.reduce(evolve, command);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('the facts alone make the same command again, but for what is held back', () => {
    fc.assert(
      fc.property(anyTriedLife, (inputs) => {
        const { command, facts } = live(inputs);
        const events = facts.map((fact) => makeEvent({ ...fact, source: '/actions', subject: fact.data.deviceId }));
        const again = events.reduce<Command | undefined>((state, event) => evolve(state, event), undefined);
        expect({ ...again, pendingProgress: null }).toEqual({ ...command, pendingProgress: null });
      }),
    );
  });
});

describe('attempts', () => {
  const sent = (attempt: number, at: number): CommandInput => ({ kind: 'dispatched', atMs: t0 + at, attempt });
  const failed = (at: number, more: object = { retryable: true }): CommandInput => ({
    ...{ kind: 'acknowledged', atMs: t0 + at, answer: { status: 'FAILED', error: 'stuck', ...more } },
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
    ...{ kind: 'progress', atMs: t0 + ms, report: message === undefined ? { progress } : { progress, message } },
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

describe('one by one', () => {
  test('a command goes from queued over sent and delivered to succeeded', () => {
    const { command, facts } = live([
      request,
      { kind: 'dispatched', atMs: t0 + 10 },
      { kind: 'received', atMs: t0 + 20 },
      succeeded,
    ]);
    expect(facts.map((fact) => statusBrought(fact))).toEqual(['QUEUED', 'SENT', 'DELIVERED', 'SUCCEEDED']);
    expect(command).toMatchObject({
      ...{ status: 'SUCCEEDED', result: 7, error: null, revision: 4 },
      ...{ sentAt: new Date(t0 + 10), deliveredAt: new Date(t0 + 20), completedAt: new Date(t0 + 30) },
      expiresAt: new Date(t0 + 60_000),
    });
  });

  test('an answer that is heard before the dispatch counts, and the dispatch changes nothing then', () => {
    const early = live([request, succeeded]);
    expect(early.command.status).toBe('SUCCEEDED');
    expect(decide(early.command, { kind: 'dispatched', atMs: t0 + 10 })).toEqual([]);
  });

  test('an answer after the time to live counts as long as the clock has not recorded the expiry', () => {
    const late: CommandInput = { ...succeeded, atMs: t0 + 61_000 };
    expect(live([request, late]).command.status).toBe('SUCCEEDED');
    expect(live([request, { kind: 'tick', atMs: t0 + 60_000 }, late]).command.status).toBe('EXPIRED');
  });

  test('a tick before the time expires nothing', () => {
    expect(live([request, { kind: 'tick', atMs: t0 + 59_999 }]).command.status).toBe('QUEUED');
  });

  test('signals and ticks about a command that nobody requested decide nothing', () => {
    for (const input of [succeeded, { kind: 'tick', atMs: t0 }, { kind: 'cancel', atMs: t0 }] as const)
      expect(decide(undefined, input)).toEqual([]);
  });

  test('a stream that does not begin with the request, or has it twice, is refused', () => {
    const { facts } = live([request, succeeded]);
    expect(() => facts.slice(1).reduce<Command | undefined>(evolve, undefined)).toThrow('never requested');
    expect(() => [...facts, ...facts].reduce<Command | undefined>(evolve, undefined)).toThrow('requested twice');
  });
});
