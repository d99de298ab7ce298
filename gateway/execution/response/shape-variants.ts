/**
 * What is made of the shape of an operation's answer, such as its writer. The shape depends on how @skip
 * and @include turn out, so one is made for each of their outcomes, when that is first needed.
 */
import { Kind, visit, type DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import { responseShape, type ResponseShape, type ShapedOperation } from './response-shape.js';

/** An operation has as many as its conditions have outcomes that were asked for; few have more than one. */
const maxVariants = 32;

export function shapeVariants<T extends object>(
  document: DocumentNode,
  shaped: ShapedOperation,
  make: (shape: ResponseShape) => T,
): (variables: Readonly<Record<string, unknown>>) => T {
  const conditions = conditionVariables(document);
  const variants = new LRUCache<string, T>({ max: maxVariants });
  const variantOf = (variables: Readonly<Record<string, unknown>>): T => {
    const key = conditions.map((name) => (variables[name] === true ? '1' : '0')).join('');
    const known = variants.get(key);
    if (known) return known;
    const made = make(responseShape(shaped, variables));
    variants.set(key, made);
    return made;
  };
  // The first request shall not wait for it, where there is nothing to wait for.
  if (conditions.length === 0) variantOf({});
  return variantOf;
}

/** Names of the variables that decide what is in the answer. */
function conditionVariables(document: DocumentNode): string[] {
  const names = new Set<string>();
  visit(document, {
    Directive({ name, arguments: given }) {
      if (name.value !== 'skip' && name.value !== 'include') return;
      for (const { value } of given ?? []) if (value.kind === Kind.VARIABLE) names.add(value.name.value);
    },
  });
  return [...names];
}
