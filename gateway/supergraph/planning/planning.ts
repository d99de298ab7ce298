/**
 * Plans operations so that none keeps the process from its other work. The planner works synchronously, and how long it takes
 * can't be told from a text: most take milliseconds, some seconds.
 *
 * 1. An operation is planned where it is asked for, for at most `stallMs`.
 * 2. One that takes longer is planned in a thread. So are, from then on, all operations on that supergraph: the planner that was
 *    interrupted would have to be built again.
 * 3. There are two threads: what takes longer than `stallMs` in the first goes on in the second. So an operation waits for quick
 *    ones alone, unless it is a slow one itself.
 *
 * The threads start when they are first needed. A text that can't be planned in time is refused, and not planned again for a while
 * (transports/operations.ts keeps the refusal).
 */
import { print, type DocumentNode } from 'graphql';
import type { Logger } from '../../../platform/observability/logger.js';
import { planOperation, type PlannedOperation } from '../plan-operation.js';
import { isPlanningTimeout } from '../planning-deadline.js';
import type { Supergraph } from '../supergraph.js';
import { PlanningThread } from './planning-thread.js';

/**
 * The plan of a validated operation; a promise if it takes long, or if a thread makes it.
 * @param overrides labels of `@override` that are on
 * @throws (or rejects with) GraphQLError BAD_USER_INPUT if there is no plan for it, or it takes too long; FleetgraphError
 * UNAVAILABLE if too many wait to be planned.
 */
export type PlanOperation = (
  supergraph: Supergraph,
  document: DocumentNode,
  operationName: string | undefined,
  overrides?: readonly string[],
) => PlannedOperation | Promise<PlannedOperation>;

export interface Planning {
  readonly plan: PlanOperation;
  /** Ends the threads. What is being planned rejects. */
  close(): Promise<void>;
}

/**
 * How long the process stands still for one operation, milliseconds: more than an ordinary one takes in a process that has just
 * started.
 */
export const stallMs = 300;

/** @param timeoutMs how long the plan of one operation may take, wherever it is made */
export function createPlanning({ timeoutMs, log }: { readonly timeoutMs: number; readonly log: Logger }): Planning {
  const plannedInThreads = new WeakSet<Supergraph>();
  const quick = new PlanningThread({ timeoutMs: Math.min(stallMs, timeoutMs), log });
  const thorough = new PlanningThread({ timeoutMs, log });
  return {
    plan(supergraph, document, operationName, overrides = []) {
      let isKnownToBeSlow = false;
      if (!plannedInThreads.has(supergraph)) {
        try {
          return planOperation(supergraph, document, operationName, overrides);
        } catch (error) {
          if (!isPlanningTimeout(error) || timeoutMs <= stallMs) throw error;
          plannedInThreads.add(supergraph);
          isKnownToBeSlow = true;
          log.info({ stallMs }, 'an operation takes long to plan; operations are planned in threads from now on');
        }
      }
      const question = { supergraphSdl: supergraph.sdl, text: print(document), operationName, overrides };
      if (isKnownToBeSlow || timeoutMs <= stallMs) return thorough.plan(question);
      return quick.plan(question).catch((error: unknown) => {
        if (!isPlanningTimeout(error)) throw error;
        return thorough.plan(question);
      });
    },
    async close() {
      await Promise.all([quick.close(), thorough.close()]);
    },
  };
}
