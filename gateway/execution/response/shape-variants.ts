/**
 * Caches what is compiled from the response shape of an operation, such as its writer. The shape
 * depends on @skip and @include: each combination of their outcomes is compiled when it is first
 * needed.
 */
import { Kind, visit, type DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import { responseShape, type ResponseShape, type ShapedOperation } from './response-shape.js';

/** Combinations that are kept for one operation; few operations have more than one. */
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
  // Without conditions there is one shape, and the first request need not wait for it.
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
