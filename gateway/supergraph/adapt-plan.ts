/**
 * Plans as subgraphs can execute them: fetches that ask for too much at once are split (split-fetches.ts), and the stand-ins of
 * required-arguments.ts give way to the fields that they stand for. A subgraph is asked for
 * `required_1_price: price(currency: "USD")`; who requires it is sent `price`.
 */
import type { FetchNode, PlanNode, QueryPlan, QueryPlanSelectionNode, SubscriptionNode } from '@apollo/query-planner';
import { Kind, parse, visit } from 'graphql';
import { splitFetch, withOperation, type SplitOptions } from './split-fetches.js';

/** The plan, to be executed. */
export function adaptPlan(plan: QueryPlan, options: SplitOptions): QueryPlan {
  if (!plan.node) return plan;
  if (plan.node.kind !== 'Subscription') return { ...plan, node: adaptNode(plan.node, options) };
  const { primary, rest } = plan.node;
  const node: SubscriptionNode = {
    ...plan.node,
    primary: restoreArguments(primary, options),
    ...(rest ? { rest: adaptNode(rest, options) } : {}),
  };
  return { ...plan, node };
}

function adaptNode(node: PlanNode, options: SplitOptions): PlanNode {
  const adapt = (inner: PlanNode): PlanNode => adaptNode(inner, options);
  switch (node.kind) {
    case 'Sequence':
    case 'Parallel':
      return { ...node, nodes: node.nodes.map(adapt) };
    case 'Condition':
      return {
        ...node,
        ...(node.ifClause ? { ifClause: adapt(node.ifClause) } : {}),
        ...(node.elseClause ? { elseClause: adapt(node.elseClause) } : {}),
      };
    case 'Flatten': {
      if (node.node.kind !== 'Fetch') return { ...node, node: adapt(node.node) };
      const fetches = splitFetch(node.node, options).map((fetch) => restoreArguments(fetch, options));
      const [first] = fetches;
      if (first && fetches.length === 1) return { ...node, node: first };
      return { kind: 'Parallel', nodes: fetches.map((fetch) => ({ ...node, node: fetch })) };
    }
    case 'Fetch':
      return restoreArguments(node, options);
    case 'Defer':
      return node;
  }
}

function restoreArguments(fetch: FetchNode, { standIns }: SplitOptions): FetchNode {
  if (standIns.size === 0) return fetch;
  const document = visit(parse(fetch.operation), {
    Field(field) {
      const standIn = standIns.get(field.name.value);
      if (!standIn) return undefined;
      return {
        ...field,
        alias: { kind: Kind.NAME, value: standIn.name },
        name: { kind: Kind.NAME, value: standIn.field },
        arguments: standIn.arguments,
      };
    },
  });
  const renamers = pathsOf(fetch.requires ?? [], (name) => standIns.has(name)).map((path) => ({
    kind: 'KeyRenamer' as const,
    path,
    renameKeyTo: standIns.get(path.at(-1) ?? '')?.field ?? '',
  }));
  return {
    ...withOperation(fetch, document),
    ...(renamers.length > 0 ? { inputRewrites: [...(fetch.inputRewrites ?? []), ...renamers] } : {}),
  };
}

/** Paths of the fields in what a fetch requires, as rewrites name them, what is deepest first: a renamed parent hides it. */
function pathsOf(selections: readonly QueryPlanSelectionNode[], isMeant: (name: string) => boolean): string[][] {
  return selections.flatMap((selection) => {
    const step = selection.kind === 'Field' ? selection.name : `... on ${selection.typeCondition ?? ''}`;
    const inner = pathsOf(selection.selections ?? [], isMeant).map((path) => [step, ...path]);
    return selection.kind === 'Field' && isMeant(step) ? [...inner, [step]] : inner;
  });
}
