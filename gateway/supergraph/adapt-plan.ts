/**
 * Plans as subgraphs can execute them: fetches that ask for too much at once are split (split-fetches.ts), and the stand-ins of
 * required-arguments.ts give way to the fields that they stand for, the doubles of chained-requirements.ts to the subgraphs. A subgraph is asked for
 * `required_1_price: price(currency: "USD")`; who requires it is sent `price`. Root types go without their names (root-types.ts).
 */
import type { FetchNode, PlanNode, QueryPlan, QueryPlanSelectionNode, SubscriptionNode } from '@apollo/query-planner';
import { Kind, parse, visit } from 'graphql';
import type { AdaptedFetch } from './adapted-fetch.js';
import { joinFetches } from './join-fetches.js';
import { splitFetch, withOperation, type SplitOptions } from './split-fetches.js';
import { wholeRepresentations } from './whole-representations.js';

export interface AdaptOptions extends SplitOptions {
  /** The subgraphs' names, by those of their doubles. */
  readonly doubles: ReadonlyMap<string, string>;
  /** From root-types.ts. */
  readonly withoutRootTypeNames: (fetch: FetchNode) => FetchNode;
}

/** The plan, to be executed. */
export function adaptPlan(plan: QueryPlan, options: AdaptOptions): QueryPlan {
  if (!plan.node) return plan;
  if (plan.node.kind !== 'Subscription') return { ...plan, node: joinFetches(adaptNode(plan.node, options)) };
  const { primary, rest } = plan.node;
  const node: SubscriptionNode = {
    ...plan.node,
    primary: restore(primary, options),
    ...(rest ? { rest: joinFetches(adaptNode(rest, options)) } : {}),
  };
  return { ...plan, node };
}

function adaptNode(node: PlanNode, options: AdaptOptions): PlanNode {
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
      const fetches = splitFetch(withKeys(node.node, options), options).map((fetch) => restore(fetch, options));
      const [first] = fetches;
      if (first && fetches.length === 1) return { ...node, node: first };
      return { kind: 'Parallel', nodes: fetches.map((fetch) => ({ ...node, node: fetch })) };
    }
    case 'Fetch':
      return restore(node, options);
    case 'Defer':
      return node;
  }
}

function withKeys(fetch: FetchNode, { needs }: AdaptOptions): AdaptedFetch {
  const { requires, serviceName } = fetch;
  if (!requires) return fetch;
  const types = requires.flatMap((part) => (part.kind === 'InlineFragment' ? (part.typeCondition ?? []) : []));
  return {
    ...fetch,
    requires: [...wholeRepresentations(requires, serviceName, needs)],
    keyNames: new Set(types.flatMap((type) => needs.keyNames(type, serviceName))),
  };
}

/** To the subgraph itself, with the fields that it has. */
function restore(fetch: FetchNode, options: AdaptOptions): FetchNode {
  const serviceName = options.doubles.get(fetch.serviceName);
  const restored = restoreArguments(serviceName === undefined ? fetch : { ...fetch, serviceName }, options);
  return options.withoutRootTypeNames(restored);
}

function restoreArguments(fetch: FetchNode, { standIns }: AdaptOptions): FetchNode {
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
