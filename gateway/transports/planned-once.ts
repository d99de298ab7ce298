/** Work that is done once for all who want its result: the plan of an operation. */
import { FleetgraphError } from '../../platform/errors.js';
import type { CacheObserver } from '../gateway-metrics.js';
import { isPlanningTimeout } from '../supergraph/planning-deadline.js';

/** How long a text that took too long to plan is refused without another try, milliseconds: the machine may have been busy. */
const refusedForMs = 60_000;

/**
 * Works when it is first called; later calls return that result, or throw that error. An error that passes (UNAVAILABLE) is
 * not kept; that of a plan that took too long is kept for `refusedForMs`.
 */
export function once<Value>(
  work: () => Value | Promise<Value>,
  seen: CacheObserver | undefined,
): (() => Value | Promise<Value>) & { hasValue(): boolean } {
  let outcome: { readonly value: Value } | { readonly error: unknown; readonly until: number } | undefined;
  let pending: Promise<Value> | undefined;
  const keep = (error: unknown): void => {
    if (error instanceof FleetgraphError && error.code === 'UNAVAILABLE') return;
    outcome = { error, until: isPlanningTimeout(error) ? performance.now() + refusedForMs : Infinity };
  };
  const begin = (): Value | Promise<Value> => {
    seen?.miss();
    let made: Value | Promise<Value>;
    try {
      made = work();
    } catch (error) {
      keep(error);
      throw error;
    }
    if (!(made instanceof Promise)) {
      outcome = { value: made };
      return made;
    }
    pending = made.then(
      (value) => {
        pending = undefined;
        outcome = { value };
        return value;
      },
      (error: unknown) => {
        pending = undefined;
        keep(error);
        throw error;
      },
    );
    return pending;
  };
  const get = (): Value | Promise<Value> => {
    if (outcome && 'error' in outcome && performance.now() > outcome.until) outcome = undefined;
    if (!outcome && !pending) return begin();
    seen?.hit();
    if (!outcome) return pending as Promise<Value>;
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  };
  return Object.assign(get, { hasValue: () => outcome !== undefined && 'value' in outcome });
}
