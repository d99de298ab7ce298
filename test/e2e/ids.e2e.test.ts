/** Every id in the arguments of a root field, given what no id looks like: a mistake of the client, and never one of fleetgraph. */
import { buildSchema, getNamedType, isLeafType } from 'graphql';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { argumentPlaces, argumentsWith, type ArgumentPlace } from '../world/argument-places.js';
import { createErrorLog } from '../world/error-lines.js';
import { startPlatform, type GraphQLResponse, type Subscriber, type TestPlatform } from '../world/platform.js';
import { eventually } from '../world/eventually.js';

const { log, lines } = createErrorLog();
let platform: TestPlatform;
beforeAll(async () => {
  // A device that may have been registered just now is waited for so long.
  platform = await startPlatform({ CONSISTENCY_TIMEOUT_MS: '100' }, log);
});
afterAll(() => platform[Symbol.asyncDispose]());

const sdl = readFileSync(new URL('../../gateway/schema/api.graphql', import.meta.url), 'utf8');
const places = argumentPlaces(buildSchema(sdl), (type) => 'name' in type && type.name === 'ID');
/** Nothing is sent to the webhook: no type of events goes there. */
const known = {
  'CreateWebhookInput.url': 'https://1.1.1.1/hook',
  'CreateWebhookInput.eventTypes': [],
  'RuleConditionInput.when': 'a > 1',
};
const argumentsFor = (place: ArgumentPlace, value: string) =>
  argumentsWith(
    place,
    value,
    place.declaration === 'TestRuleInput.deviceId' ? { ...known, 'TestRuleInput.condition': { when: 'a > 1' } } : known,
  );
const values = { empty: '', unknown: 'nope', long: 'x'.repeat(20_000), NUL: 'a\u0000b', 'half a surrogate': '\ud83d' };

function operationOf(kind: string, { field }: ArgumentPlace, args: Record<string, unknown>): string {
  const given = field.args.filter(({ name }) => Object.hasOwn(args, name));
  const definitions = given.map(({ name, type }) => `$${name}: ${String(type)}`).join(', ');
  const passed = given.map(({ name }) => `${name}: $${name}`).join(', ');
  const selection = isLeafType(getNamedType(field.type)) ? '' : '{ __typename }';
  return `${kind} O(${definitions}) { field: ${field.name}(${passed}) ${selection} }`;
}

const of = (parent: string) =>
  places.filter((place) => place.parent === parent).map((place) => ({ place, title: titleOf(place) }));
const titleOf = ({ parent, field, name }: ArgumentPlace): string => `${parent}.${field.name}: ${name}`;
const codesOf = ({ errors }: Pick<GraphQLResponse<unknown>, 'errors'>) =>
  errors?.map(({ extensions }) => extensions?.code);
const isClientsMistake = (code: string | undefined): boolean => code === 'BAD_USER_INPUT' || code === 'NOT_FOUND';

test('there are ids to try', () => expect(places.length).toBeGreaterThan(50));

describe.each([...of('Query'), ...of('Mutation')])('$title', ({ place }) => {
  test.each(Object.entries(values))('that is %s is refused, or finds nothing', async (what, value) => {
    const args = argumentsFor(place, value);
    const operation = operationOf(place.parent.toLowerCase(), place, args);
    const response = await platform.graphql<{ field: unknown }>(operation, args);
    expect(codesOf(response)?.every(isClientsMistake) ?? true).toBe(true);
    if (what !== 'empty') return;
    // Of many devices each has its own error, in the data.
    if (place.declaration === 'NewDeviceInput.typeId') return;
    expect(response.data?.field ?? null).toBeNull();
    // What a query asks for by its id may be absent; anything else by an empty id is a mistake.
    if (place.parent === 'Query' && place.steps.length === 1) expect(response.errors).toBeUndefined();
    else expect(response.errors).toMatchObject([{ extensions: { field: place.name } }]);
  });
});

test('Subscription: each of them ends with a mistake of the client, or, if it filters, waits for what may come', async () => {
  const open: { readonly title: string; readonly what: string; readonly subscriber: Subscriber<unknown> }[] = [];
  for (const { place, title } of of('Subscription'))
    for (const [what, value] of Object.entries(values)) {
      const args = argumentsFor(place, value);
      const subscriber = await platform.subscribe(operationOf('subscription', place, args), args);
      open.push({ title, what, subscriber });
    }
  expect(open.length).toBeGreaterThan(20);
  const codeOf = ({ subscriber }: (typeof open)[number]): string | undefined =>
    codesOf({ errors: subscriber.failure() as GraphQLResponse<unknown>['errors'] & object })?.[0];
  const mustEnd = open.filter(({ title, what }) => what === 'empty' || /: (deviceId|id)$/.test(title));
  await eventually(() => {
    for (const one of mustEnd)
      expect([one.title, one.what, isClientsMistake(codeOf(one))]).toEqual([one.title, one.what, true]);
  });
  for (const one of open) {
    if (one.subscriber.failure() !== undefined) expect(isClientsMistake(codeOf(one))).toBe(true);
    expect(one.subscriber.received).toEqual([]);
    one.subscriber.stop();
  }
});

test('none of it is an error in the log', () => expect(lines).toEqual([]));
