import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeEvent } from '../../../../backbone/events/envelope.js';
import { isFinal, type Command, type CommandStatus } from '../../../../subgraphs/actions/command/command.js';
import {
  decide,
  evolve,
  statusAfter,
  type CommandFact,
  type CommandInput,
} from '../../../../subgraphs/actions/command/life-cycle.js';

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
    for (const fact of decide(command, input)) {
      facts.push(fact);
      command = evolve(command, fact);
    }
  }
  if (command === undefined) throw new Error('nothing was requested');
  return { command, facts };
}

const rank: Readonly<Record<CommandStatus, number>> = {
  ...{ QUEUED: 0, SENT: 1, DELIVERED: 2, SUCCEEDED: 3, FAILED: 3, REJECTED: 3, EXPIRED: 3, CANCELED: 3 },
};

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

describe('whatever is heard, in any order and with repeats', () => {
  test('the status never goes back, and at most one final one is reached', () => {
    fc.assert(
      fc.property(anyLife, (inputs) => {
        const { facts } = live(inputs);
        const ranks = facts.map((fact) => rank[statusAfter(fact)]);
        expect(ranks.every((value, index) => index === 0 || value > (ranks[index - 1] ?? 0))).toBe(true);
        expect(facts.filter((fact) => isFinal(statusAfter(fact))).length).toBeLessThanOrEqual(1);
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

describe('one by one', () => {
  test('a command goes from queued over sent and delivered to succeeded', () => {
    const { command, facts } = live([
      request,
      { kind: 'dispatched', atMs: t0 + 10 },
      { kind: 'received', atMs: t0 + 20 },
      succeeded,
    ]);
    expect(facts.map(statusAfter)).toEqual(['QUEUED', 'SENT', 'DELIVERED', 'SUCCEEDED']);
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
