/**
 * What an operation costs before it runs (IBM's static cost: each object that may be in the answer, weighted), so that what
 * would cost too much is refused for nothing; and what it did cost, counted in the answer, for clients that want to know.
 */
import { OperationTypeNode, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import type { CostModel } from './cost-model.js';
import { costTree, type CostSet, type Variables } from './cost-tree.js';

export interface OperationCost {
  /** With these variables, or their defaults. */
  estimate(variables: Variables): number;
  /** Of this answer. */
  actual(data: unknown, variables: Variables): number;
}

/** A write is dearer than a read. */
const ofMutation = 10;

export function costOf(model: CostModel, document: DocumentNode, operation: OperationDefinitionNode): OperationCost {
  const tree = costTree(model, document, operation);
  const base = operation.operation === OperationTypeNode.MUTATION ? ofMutation : 0;
  return {
    estimate: (variables) => base + estimate(tree, variables),
    actual: (data, variables) => base + actual(tree, data, variables),
  };
}

function estimate({ always, either }: CostSet, variables: Variables): number {
  let sum = 0;
  for (const { weight, argumentWeight, size, children } of always)
    sum += argumentWeight(variables) + (size?.(variables) ?? 1) * (weight + estimate(children, variables));
  let dearest = 0;
  for (const nodes of either) dearest = Math.max(dearest, estimate({ always: nodes, either: [] }, variables));
  return sum + dearest;
}

function actual(set: CostSet, object: unknown, variables: Variables): number {
  if (typeof object !== 'object' || object === null) return 0;
  const counted = new Set<string>();
  let sum = 0;
  for (const { key, weight, argumentWeight, children } of [...set.always, ...set.either.flat()]) {
    const value = (object as Readonly<Record<string, unknown>>)[key];
    if (value === undefined || counted.has(key)) continue;
    counted.add(key);
    sum += argumentWeight(variables);
    for (const one of flat(value)) sum += weight + actual(children, one, variables);
  }
  return sum;
}

function flat(value: unknown): readonly unknown[] {
  if (value === null) return [];
  return Array.isArray(value) ? value.flatMap(flat) : [value];
}
