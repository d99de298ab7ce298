/** A plan of the query planner as steps: what is to be fetched after what, and at the same time as what. */
import type { PlanNode } from '@apollo/query-planner';
import { FleetgraphError } from '../../../platform/errors.js';
import type { Step } from '../run.js';
import { compileFetch, type PlanTools } from './fetch-step.js';
import type { ResponsePath } from './flatten-path.js';
import { namesInPlan } from './plan-names.js';

const nothing: Step = () => undefined;

/** @throws FleetgraphError BAD_USER_INPUT for what is not supported. */
export function compilePlan(node: PlanNode | undefined, tools: Omit<PlanTools, 'names'>): Step {
  return compileNode(node, { ...tools, names: namesInPlan(node, tools.schema) }, []);
}

function compileNode(node: PlanNode | undefined, tools: PlanTools, path: ResponsePath): Step {
  if (!node) return nothing;
  switch (node.kind) {
    case 'Fetch':
      return compileFetch(node, path, tools);
    case 'Flatten':
      return compileNode(node.node, tools, [...path, ...node.path]);
    case 'Sequence':
      return inSequence(node.nodes.map((part) => compileNode(part, tools, path)));
    case 'Parallel':
      return inParallel(node.nodes.map((part) => compileNode(part, tools, path)));
    case 'Condition': {
      const [yes, no] = [compileNode(node.ifClause, tools, path), compileNode(node.elseClause, tools, path)];
      return (run) => (run.variables[node.condition] === true ? yes(run) : no(run));
    }
    case 'Defer':
      throw new FleetgraphError('BAD_USER_INPUT', '@defer is not supported. Ask for everything at once.');
  }
}

function inSequence(steps: readonly Step[]): Step {
  return async (run) => {
    for (const step of steps) {
      if (run.signal?.aborted === true) return;
      const pending = step(run);
      if (pending) await pending;
    }
  };
}

function inParallel(steps: readonly Step[]): Step {
  return (run) => {
    const pending: Promise<void>[] = [];
    for (const step of steps) {
      const begun = step(run);
      if (begun) pending.push(begun);
    }
    return pending.length < 2 ? pending[0] : Promise.all(pending).then(() => undefined);
  };
}
