/** Every list in an argument of the own subgraphs is decided: it is refused when it is empty, or it is data. */
import {
  isListType,
  Kind,
  parse,
  type GraphQLFieldResolver,
  type GraphQLResolveInfo,
  type GraphQLSchema,
} from 'graphql';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { createSubgraphSchema, type Resolvers } from '../../../platform/graphql/subgraph.js';
import { allScopes } from '../../../platform/identity/identity.js';
import { argumentPlaces, argumentsWith, type ArgumentPlace } from '../../world/argument-places.js';

/** A new list has to be entered here; if it is data, with `@mayBeEmpty` in the SDL. */
const declarations = {
  refused: [
    ...[
      'AlertFilter.severity',
      'AlertFilterInput.ruleIds',
      'AlertFilterInput.severities',
      'AlertUpdateFilter.severity',
    ],
    ...['CommandFilter.status', 'DeadLetterFilter.status', 'DeadLettersInput.ids', 'DeliveryFilter.status'],
    ...['Device.commands(status)', 'DeviceFilter.labels', 'DeviceState.metrics(names)', 'DeviceStateFilter.deviceIds'],
    ...['DeviceStateFilter.labels', 'DeviceSelector.ids', 'DeviceSelector.labels', 'DeviceSelector.typeIds'],
    ...['EventFilter.types', 'LabelCondition.in', 'LabelCondition.notIn', 'RegisterDevicesInput.devices'],
    ...[
      'RuleActionInput.on',
      'Subscription.events(types)',
      'Subscription.telemetry(metrics)',
      'Webhook.deliveries(status)',
    ],
  ],
  data: [
    ...['CreateRuleInput.actions', 'CreateWebhookInput.eventTypes', 'DefineDeviceTypeInput.commands'],
    ...[
      'DefineDeviceTypeInput.metrics',
      'NewDeviceInput.labels',
      'RegisterDeviceInput.labels',
      'RuleConditionInput.terms',
    ],
    ...['UpdateDeviceInput.labels', 'UpdateRuleInput.actions', 'UpdateWebhookInput.eventTypes'],
  ],
};

function schemaOf(subgraph: string): GraphQLSchema {
  const sdl = readFileSync(new URL(`../../../subgraphs/${subgraph}/schema.graphql`, import.meta.url), 'utf8');
  const types = parse(sdl).definitions.filter((definition) => definition.kind === Kind.OBJECT_TYPE_DEFINITION);
  const resolvers = types.flatMap(({ name: { value: type }, directives, fields }): [string, unknown][] => {
    if (type === 'Subscription')
      return [[type, Object.fromEntries((fields ?? []).map(({ name }) => [name.value, { subscribe: () => 'begun' }]))]];
    const isEntity = directives?.some(({ name }) => name.value === 'referenceScopes');
    return isEntity ? [[type, { __resolveReference: () => null }]] : [];
  });
  return createSubgraphSchema(sdl, Object.fromEntries(resolvers) as Resolvers);
}

/** What becomes of a call with these arguments: an error, or nothing. */
function refusalOf({ field }: ArgumentPlace, args: Record<string, unknown>): unknown {
  const call = (field.subscribe ?? field.resolve) as GraphQLFieldResolver<unknown, RequestContext> | undefined;
  const context = { identity: { scopes: new Set(allScopes) } } as unknown as RequestContext;
  try {
    call?.({}, args, context, {} as GraphQLResolveInfo);
    return undefined;
  } catch (error) {
    return error;
  }
}

const places = ['query', 'actions', 'device'].flatMap((subgraph) => argumentPlaces(schemaOf(subgraph), isListType));

test('each list is entered as refused or as data', () => {
  const found = [...new Set(places.map(({ declaration }) => declaration))].sort();
  expect(found).toEqual([...declarations.refused, ...declarations.data].sort());
});

describe.each(places.map((place) => ({ place, title: `${place.parent}.${place.field.name}: ${place.name}` })))(
  '$title',
  ({ place }) => {
    const isData = declarations.data.includes(place.declaration);
    test(`that is empty is ${isData ? 'taken' : 'BAD_USER_INPUT'}`, () => {
      const refusal = refusalOf(place, argumentsWith(place, []));
      if (isData) expect(refusal).toBeUndefined();
      else
        expect(refusal).toMatchObject({
          code: 'BAD_USER_INPUT',
          field: place.name,
          message: expect.stringMatching(/ is an empty list\. Name at least one/) as string,
        });
    });

    test('that is null or has an item is not refused', () => {
      for (const value of [null, [{}]]) expect(refusalOf(place, argumentsWith(place, value))).toBeUndefined();
    });
  },
);
