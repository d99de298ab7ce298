/**
 * The query planner, with what is known to go wrong in it put right before and after it: chained-requirements.ts,
 * executable-directives.ts, required-arguments.ts, resolvable-keys.ts, root-types.ts, separate-names.ts, split-fetches.ts, whole-representations.ts, and operations that no subgraph has an answer to.
 */
import { Supergraph as FederatedSupergraph, type Operation, type SelectionSet } from '@apollo/federation-internals';
import { QueryPlanner, type QueryPlan } from '@apollo/query-planner';
import { GraphQLError, type DocumentNode } from 'graphql';
import { adaptPlan } from './adapt-plan.js';
import { doubleChainedRequirements } from './chained-requirements.js';
import { directiveDefaults, writeOutDefaults } from './executable-directives.js';
import { separateRequiredArguments } from './required-arguments.js';
import { resolvableKeysFirst } from './resolvable-keys.js';
import { withoutRootTypeNames } from './root-types.js';
import { whatFieldsNeed } from './what-fields-need.js';
import { PlanningTimeout, planningTimeoutError, withinPlanningTime } from './planning-deadline.js';
import { keepObjects, namesOfPlanner, separateNames, type SeparateNames } from './separate-names.js';

export interface Planner {
  /** The operation as it must be for `buildQueryPlan`, and under which names its data will come. */
  separateNames(document: DocumentNode): SeparateNames;
  /**
   * The plan for an operation on the API schema of the supergraph.
   * @param overrides labels of `@override` that are on
   * @throws GraphQLError BAD_USER_INPUT if it selects something and no subgraph has any of it, or if it takes too long to plan.
   */
  buildQueryPlan(operation: Operation, overrides?: readonly string[]): QueryPlan;
}

/**
 * @param supportedFeatures what the supergraph may ask of whoever runs it.
 * @param timeoutMs how long one operation may take, and the process stand still for it.
 */
export function createPlanner(supergraph: DocumentNode, supportedFeatures: Set<string>, timeoutMs: number): Planner {
  const original = resolvableKeysFirst(supergraph);
  const chained = doubleChainedRequirements(original);
  const required = separateRequiredArguments(chained.document);
  // A field that only stand-ins are required of now, or only a double requires, is external for nothing, which validation would refuse.
  const validateSupergraph = required.standIns.size === 0 && chained.doubles.size === 0;
  const createQueryPlanner = () =>
    new QueryPlanner(
      FederatedSupergraph.build(required.document, { validateSupergraph, supportedFeatures }),
      // What is asked for of one type of an interface or a union is not fetched for the others.
      { typeConditionedFetching: true },
    );
  let planner: QueryPlanner | undefined = createQueryPlanner();
  const plan = (operation: Operation, overrides: readonly string[]): QueryPlan => {
    const current = (planner ??= createQueryPlanner());
    try {
      const overrideConditions = new Map(overrides.map((label) => [label, true]));
      return withinPlanningTime(timeoutMs, () => current.buildQueryPlan(operation, { overrideConditions }));
    } catch (error) {
      if (!(error instanceof PlanningTimeout)) throw error;
      // What it keeps between operations may be half written.
      planner = undefined;
      throw planningTimeoutError(error);
    }
  };
  const names = namesOfPlanner(required.document);
  const defaults = directiveDefaults(supergraph);
  const adapting = {
    needs: whatFieldsNeed(required.document),
    standIns: required.standIns,
    doubles: chained.doubles,
    withoutRootTypeNames: withoutRootTypeNames(supergraph),
  };
  return {
    separateNames: (document) => separateNames(keepObjects(writeOutDefaults(document, defaults)), names),
    buildQueryPlan(operation, overrides = []) {
      const queryPlan = plan(operation, overrides);
      if (!queryPlan.node && operation.rootKind !== 'subscription' && selectsData(operation.selectionSet))
        // The planner has left out all of it: types that no subgraph has objects of, or that none resolves by a key.
        throw new GraphQLError('No subgraph can resolve what the operation selects.', {
          extensions: { code: 'BAD_USER_INPUT' },
        });
      return adaptPlan(queryPlan, adapting);
    },
  };
}

/** Whether it selects a field other than those of introspection and those that are left out whatever the variables are. */
function selectsData(set: SelectionSet): boolean {
  return set.selections().some((selection) => {
    if (selection.element.appliedDirectives.some(isNever)) return false;
    if (selection.kind === 'FieldSelection') return !selection.element.name.startsWith('__');
    return selectsData(selection.selectionSet);
  });
}

function isNever(directive: { readonly name: string; arguments(): Readonly<Record<string, unknown>> }): boolean {
  const condition = directive.arguments()['if'];
  return (directive.name === 'skip' && condition === true) || (directive.name === 'include' && condition === false);
}
