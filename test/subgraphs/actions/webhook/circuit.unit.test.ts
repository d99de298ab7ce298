import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pauseBeforeRetry } from '../../../../subgraphs/actions/webhook/delivery/retry.js';
import {
  afterAttempt,
  closed,
  stateOf,
  threshold,
  type Circuit,
} from '../../../../subgraphs/actions/webhook/endpoint/circuit.js';

const fail = (circuit: Circuit, nowMs: number, probe = false) =>
  afterAttempt(circuit, { succeeded: false, probe }, nowMs, 0.5);

function opened(): Circuit {
  let circuit = closed;
  for (let count = 0; count < threshold; count += 1) circuit = fail(circuit, 0);
  return circuit;
}

test('it opens at the fifth failure in a row, and is half open after a while', () => {
  let circuit = closed;
  for (let count = 1; count < threshold; count += 1) circuit = fail(circuit, 0);
  expect(stateOf(circuit, 0)).toBe('CLOSED');
  circuit = fail(circuit, 0);
  expect(stateOf(circuit, 0)).toBe('OPEN');
  expect(stateOf(circuit, circuit.retryAtMs ?? 0)).toBe('HALF_OPEN');
});

test('a success in between begins the count anew', () => {
  const circuit = afterAttempt(fail(fail(closed, 0), 0), { succeeded: true, probe: false }, 0, 0);
  expect(circuit).toEqual(closed);
});

test('each failed probe leaves it open for longer, up to ten minutes; a probe that succeeds closes it', () => {
  let circuit = opened();
  let before = 0;
  for (let probe = 0; probe < 12; probe += 1) {
    const now = circuit.retryAtMs ?? 0;
    circuit = fail(circuit, now, true);
    const openMs = (circuit.retryAtMs ?? 0) - now;
    expect(openMs).toBeGreaterThanOrEqual(before);
    expect(openMs).toBeLessThanOrEqual(600_000);
    before = openMs;
  }
  expect(afterAttempt(circuit, { succeeded: true, probe: true }, 0, 0)).toEqual(closed);
});

test('attempts that were under way when it opened do not keep it open for longer', () => {
  const circuit = opened();
  expect(fail(fail(circuit, 1), 2).retryAtMs).toBe(circuit.retryAtMs);
});

test('whatever happens, it is closed exactly if the last success has fewer than five failures behind it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ succeeded: fc.boolean(), random: fc.double({ min: 0, max: 1, noNaN: true }) })),
      (all) => {
        let circuit = closed;
        let inARow = 0;
        for (const { succeeded, random } of all) {
          circuit = afterAttempt(circuit, { succeeded, probe: circuit.retryAtMs !== null }, 1_000, random);
          inARow = succeeded ? 0 : inARow + 1;
          expect(stateOf(circuit, 1_000) === 'CLOSED').toBe(inARow < threshold);
          if (circuit.retryAtMs !== null) expect(circuit.retryAtMs).toBeGreaterThan(1_000);
        }
      },
    ),
  );
});

test('pauses follow the schedule with up to a fifth of jitter, end with it, and heed retry-after', () => {
  const schedule = [5_000, 60_000, 300_000];
  expect([3, 2, 1, 0].map((left) => pauseBeforeRetry(schedule, left, undefined, 0))).toEqual([...schedule, undefined]);
  expect(pauseBeforeRetry(schedule, 3, undefined, 1)).toBe(6_000);
  expect(pauseBeforeRetry(schedule, 3, 120_000, 0)).toBe(120_000);
  expect(pauseBeforeRetry(schedule, 3, 10 ** 9, 0)).toBe(6 * 3_600_000);
});
