/**
 * The names that the objects of a plan's data come to have, whichever fetch brings them. An object that is
 * made with room for all of them stays as it is laid out; one that grows with each fetch is moved.
 */
import type { PlanNode } from '@apollo/query-planner';
import type { GraphQLSchema } from 'graphql';
import { answerShape, type AnswerField } from '../tape/answer-shape.js';
import { namesOnPath, type ResponsePath } from './flatten-path.js';

export interface PlanNames {
  readonly names: Set<string>;
  /** By name, of those that are objects. */
  readonly inner: Map<string, PlanNames>;
}

export function namesInPlan(node: PlanNode | undefined, schema: GraphQLSchema): PlanNames {
  const root: PlanNames = { names: new Set(), inner: new Map() };
  if (node) collect(node, [], root, schema);
  return root;
}

/** What objects at the path come to have. */
export function namesAt(root: PlanNames, path: ResponsePath): PlanNames {
  return namesOnPath(path).reduce(innerOf, root);
}

/** The fields of what a fetch gives to objects that come to have these names, with room for all of them. */
export function withRoom(fields: readonly AnswerField[], names: PlanNames): readonly AnswerField[] {
  return fields.map((field) => {
    const inner = field.fields && names.inner.get(field.name);
    return inner ? { ...field, fields: withRoom(field.fields ?? [], inner), more: [...inner.names] } : field;
  });
}

function collect(node: PlanNode, path: ResponsePath, root: PlanNames, schema: GraphQLSchema): void {
  switch (node.kind) {
    case 'Sequence':
    case 'Parallel':
      for (const part of node.nodes) collect(part, path, root, schema);
      return;
    case 'Flatten':
      collect(node.node, [...path, ...node.path], root, schema);
      return;
    case 'Condition':
      for (const part of [node.ifClause, node.elseClause]) if (part) collect(part, path, root, schema);
      return;
    case 'Fetch': {
      const fields = answerShape(node.operation, schema);
      add(namesAt(root, path), node.requires ? (fields[0]?.fields ?? []) : fields);
      return;
    }
    case 'Defer':
  }
}

function add(at: PlanNames, fields: readonly AnswerField[]): void {
  for (const { name, fields: inner } of fields) {
    at.names.add(name);
    if (inner) add(innerOf(at, name), inner);
  }
}

function innerOf(at: PlanNames, name: string): PlanNames {
  let inner = at.inner.get(name);
  if (!inner) at.inner.set(name, (inner = { names: new Set(), inner: new Map() }));
  return inner;
}
