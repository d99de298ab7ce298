import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeEvent } from '../../../../backbone/events/envelope.js';
import { isFinal, type Command, type CommandStatus } from '../../../../subgraphs/actions/command/command.js';
import { dueAt } from '../../../../subgraphs/actions/command/attempts.js';
import { statusAfter, statusBrought, type CommandFact } from '../../../../subgraphs/actions/command/command-fact.js';
import { decide, evolve, type CommandInput } from '../../../../subgraphs/actions/command/life-cycle.js';
import { live, request, succeeded, t0, tried } from './command-life.js';

const rank: Readonly<Record<CommandStatus, number>> = {
  QUEUED: 0,
  SENT: 1,
  DELIVERED: 2,
  SUCCEEDED: 3,
  FAILED: 3,
  REJECTED: 3,
  EXPIRED: 3,
  CANCELED: 3,
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

const anyAttempt = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
/** The same with attempts and progress: what a device that is flaky, slow, or a liar says. */
const anyTry: fc.Arbitrary<CommandInput> = fc.oneof(
  anyInput,
  fc.record({ kind: fc.constant('dispatched' as const), atMs, attempt: anyAttempt }),
  fc.record({ kind: fc.constant('tick' as const), atMs }),
  fc.record({
    kind: fc.constant('progress' as const),
    atMs,
    report: fc.record({ progress: fc.constantFrom(0, 40, 100), message: fc.string() }, { requiredKeys: [] }),
  }),
  fc.record({
    kind: fc.constant('acknowledged' as const),
    atMs,
    answer: fc.record({
      status: fc.constant('FAILED' as const),
      error: fc.string(),
      retryable: fc.boolean(),
      attempt: anyAttempt,
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
      status: 'SUCCEEDED',
      result: 7,
      error: null,
      revision: 4,
      sentAt: new Date(t0 + 10),
      deliveredAt: new Date(t0 + 20),
      completedAt: new Date(t0 + 30),
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
