/**
 * The circuit breaker of an endpoint. Closed: attempts go out. After `threshold` failures in a row it opens: none goes out
 * until `retryAtMs`. Then it is half open: one attempt, the probe, decides. A success, of the probe or of an attempt that
 * was still under way, closes it; a failed probe opens it again, for twice as long up to `longestMs`.
 * What other attempts say while it is open changes nothing: they were sent before.
 */

export interface Circuit {
  /** Failures in a row. */
  readonly failures: number;
  /** How often it has opened since it was closed last. */
  readonly openings: number;
  /** Epoch milliseconds from which it may be tried again; null while it is closed. */
  readonly retryAtMs: number | null;
}

export const threshold = 5;
const shortestMs = 10_000;
const longestMs = 600_000;

export const closed: Circuit = { failures: 0, openings: 0, retryAtMs: null };

export type CircuitState = 'CLOSED' | 'OPEN' | 'HALF_OPEN';

export function stateOf(circuit: Circuit, nowMs: number): CircuitState {
  if (circuit.retryAtMs === null) return 'CLOSED';
  return circuit.retryAtMs > nowMs ? 'OPEN' : 'HALF_OPEN';
}

/** The circuit after an attempt. `random` is from 0 to 1. */
export function afterAttempt(
  circuit: Circuit,
  attempt: { readonly succeeded: boolean; readonly probe: boolean },
  nowMs: number,
  random: number,
): Circuit {
  if (attempt.succeeded) return closed;
  const failures = circuit.failures + 1;
  if (circuit.retryAtMs !== null && !attempt.probe) return { ...circuit, failures };
  if (failures < threshold && !attempt.probe) return { ...circuit, failures };
  const openMs = Math.min(longestMs, shortestMs * 2 ** Math.min(circuit.openings, 20));
  return {
    failures,
    openings: circuit.openings + 1,
    // Jitter of a quarter: the endpoints of one host that died together are not probed together.
    retryAtMs: nowMs + openMs * (0.75 + random / 4),
  };
}

/** Whether a failed attempt says something about the endpoint, not about this one message that it refuses. */
export function isEndpointsFault(status: number | undefined): boolean {
  return status === undefined || ![400, 409, 413, 415, 422].includes(status);
}
