/** `__schema` and `__type`: what clients see of the graph, from graphql-js. No subgraph is asked. */
import { executeSync, Kind, visit } from 'graphql';
import type { JsonObject } from '../json.js';
import type { ResponseShape, ShapedOperation } from './response-shape.js';

const none: JsonObject = {};

/** @returns the answers by their names, for the fields of the shape. */
export function introspect(
  { schema, operation, fragments }: ShapedOperation,
  shape: ResponseShape,
  given: Readonly<Record<string, unknown>>,
): JsonObject {
  if (!shape.root.some(({ kind }) => kind === 'introspection')) return none;
  const selections = shape.root.flatMap(({ kind, nodes }) => (kind === 'introspection' ? nodes : []));
  const used = new Set<string>();
  const usedFragments = new Set<string>();
  const note = (node: Parameters<typeof visit>[0]): void =>
    void visit(node, {
      Variable: ({ name }) => void used.add(name.value),
      FragmentSpread({ name }) {
        const fragment = fragments.get(name.value);
        if (!fragment || usedFragments.has(name.value)) return;
        usedFragments.add(name.value);
        note(fragment);
      },
    });
  for (const selection of selections) note(selection);
  const { data, errors } = executeSync({
    schema: schema,
    document: {
      kind: Kind.DOCUMENT,
      definitions: [
        {
          ...operation,
          variableDefinitions: (operation.variableDefinitions ?? []).filter(({ variable }) =>
            used.has(variable.name.value),
          ),
          selectionSet: { kind: Kind.SELECTION_SET, selections },
          directives: [],
        },
        ...[...usedFragments].flatMap((name) => fragments.get(name) ?? []),
      ],
    },
    variableValues: given,
  });
  const [error] = errors ?? [];
  if (error) throw error;
  return data ?? {};
}
