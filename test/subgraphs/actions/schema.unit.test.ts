import { readFileSync } from 'node:fs';
import { Kind, parse, visit, type StringValueNode } from 'graphql';
import { expect, test } from 'vitest';
import { catalogue } from '../../../backbone/events/catalogue.js';
import { finalStatuses, openStatuses } from '../../../subgraphs/actions/command/command.js';

const document = parse(readFileSync(new URL('../../../subgraphs/actions/schema.graphql', import.meta.url), 'utf8'));

test('every type, field, argument and value of the graph is described', () => {
  const bare: string[] = [];
  const check = (node: { readonly name: { readonly value: string }; readonly description?: StringValueNode }) => {
    // The root types are described by their fields.
    if (!node.description?.value && !['Query', 'Mutation'].includes(node.name.value)) bare.push(node.name.value);
  };
  visit(document, {
    [Kind.OBJECT_TYPE_DEFINITION]: check,
    [Kind.INPUT_OBJECT_TYPE_DEFINITION]: check,
    [Kind.ENUM_TYPE_DEFINITION]: check,
    [Kind.SCALAR_TYPE_DEFINITION]: check,
    [Kind.FIELD_DEFINITION]: check,
    [Kind.INPUT_VALUE_DEFINITION]: check,
    [Kind.ENUM_VALUE_DEFINITION]: check,
  });
  expect(bare).toEqual([]);
});

test('the statuses of the graph are those of the life cycle, and each but the first has its event', () => {
  const values: string[] = [];
  visit(document, {
    [Kind.ENUM_TYPE_DEFINITION]: (node) => {
      if (node.name.value === 'CommandStatus') values.push(...(node.values ?? []).map(({ name }) => name.value));
    },
  });
  expect(values).toEqual([...openStatuses, ...finalStatuses]);
  for (const status of values.slice(1))
    expect(Object.keys(catalogue)).toContain(`io.fleetgraph.command.${status.toLowerCase()}.v1`);
});
