/**
 * A bound on how long the process stands still for one operation. The planner works synchronously, and how long it takes can't be
 * told from the text: a limit on its length does not help against what it does badly. So it is interrupted (`timeout` of node:vm, which
 * ends JavaScript wherever it is), at a cost of some hundredths of a millisecond.
 */
import { GraphQLError } from 'graphql';
import { createContext, Script } from 'node:vm';
import { codeOf } from '../../platform/errors.js';

/** Thrown when the time is over. What `work` was about may be in any state. */
export class PlanningTimeout extends Error {
  constructor(readonly timeoutMs: number) {
    super(`Planning took longer than ${timeoutMs} ms.`);
    this.name = 'PlanningTimeout';
  }
}

/** What the client of the operation is sent. */
export function planningTimeoutError(cause: PlanningTimeout): GraphQLError {
  return new GraphQLError(
    `The operation takes longer than ${cause.timeoutMs} ms to plan. Ask for less at once, or for it in several operations.`,
    { extensions: { code: 'BAD_USER_INPUT' }, originalError: cause },
  );
}

/** Whether an operation was given up because its plan took too long. */
export function isPlanningTimeout(error: unknown): boolean {
  return error instanceof GraphQLError && error.originalError instanceof PlanningTimeout;
}

const context = createContext({ work: undefined });
const script = new Script('work()');

/** Does synchronous work, for so many milliseconds at the most. @throws PlanningTimeout, or what `work` throws. */
export function withinPlanningTime<T>(timeoutMs: number, work: () => T): T {
  let result: { readonly value: T } | undefined;
  context['work'] = () => {
    result = { value: work() };
  };
  try {
    script.runInContext(context, { timeout: timeoutMs });
  } catch (error) {
    if (codeOf(error) === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw new PlanningTimeout(timeoutMs);
    throw error;
  } finally {
    context['work'] = undefined;
  }
  if (result === undefined) throw new Error('The work was not done.');
  return result.value;
}
