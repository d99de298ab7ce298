/**
 * Numbers that are written in an operation, for a planner that reads them as JavaScript numbers: it would send
 * `by(id: 9007199254740993)` as 9007199254740992. What it would round is planned as a string with a prefix that nobody can
 * know, and the plan has the digits again. A `Float` may be rounded.
 */
import type { AdaptedFetch } from './adapted-fetch.js';
import type { FetchNode, PlanNode, QueryPlan, SubscriptionNode } from '@apollo/query-planner';
import {
  getNamedType,
  Kind,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type FloatValueNode,
  type GraphQLSchema,
  type IntValueNode,
  type StringValueNode,
} from 'graphql';
import { randomUUID } from 'node:crypto';
import { exactNumber } from '../../platform/json/exact-json.js';

export interface ExactLiterals {
  /** The operation to plan. */
  readonly document: DocumentNode;
  /** The plan with the numbers as the client wrote them. */
  readonly restore: (plan: QueryPlan) => QueryPlan;
}

/** @param schema by which the document is valid */
export function keepDigits(document: DocumentNode, schema: GraphQLSchema): ExactLiterals {
  const prefix = `${randomUUID()}:`;
  const typeInfo = new TypeInfo(schema);
  let isChanged = false;
  const replace = ({ value }: IntValueNode | FloatValueNode): StringValueNode | undefined => {
    if (typeof exactNumber(value) === 'number') return undefined;
    const type = typeInfo.getInputType();
    // Inside of a literal of a custom scalar there are no types.
    if (type && getNamedType(type).name === 'Float') return undefined;
    isChanged = true;
    return { kind: Kind.STRING, value: prefix + value };
  };
  const changed = visit(document, visitWithTypeInfo(typeInfo, { IntValue: replace, FloatValue: replace }));
  if (!isChanged) return { document, restore: (plan) => plan };
  const written = new RegExp(`"${prefix}([^"]+)"`, 'g');
  return {
    document: changed,
    restore: (plan) =>
      withFetches(plan, (fetch) => ({
        ...fetch,
        operation: fetch.operation.replace(written, (_all, digits: string) => digits),
      })),
  };
}

function withFetches(plan: QueryPlan, change: (fetch: FetchNode) => FetchNode): QueryPlan {
  if (!plan.node) return plan;
  if (plan.node.kind !== 'Subscription') return { ...plan, node: changeFetches(plan.node, change) };
  const { primary, rest } = plan.node;
  const node: SubscriptionNode = {
    ...plan.node,
    primary: change(primary),
    ...(rest ? { rest: changeFetches(rest, change) } : {}),
  };
  return { ...plan, node };
}

function changeFetches(node: PlanNode, change: (fetch: FetchNode) => FetchNode): PlanNode {
  const inner = (each: PlanNode): PlanNode => changeFetches(each, change);
  switch (node.kind) {
    case 'Fetch': {
      const { alone } = node as AdaptedFetch;
      return alone ? ({ ...change(node), alone: change(alone) } as AdaptedFetch) : change(node);
    }
    case 'Flatten':
      return { ...node, node: inner(node.node) };
    case 'Sequence':
    case 'Parallel':
      return { ...node, nodes: node.nodes.map(inner) };
    case 'Condition':
      return {
        ...node,
        ...(node.ifClause ? { ifClause: inner(node.ifClause) } : {}),
        ...(node.elseClause ? { elseClause: inner(node.elseClause) } : {}),
      };
    case 'Defer':
      return node;
  }
}
