/** The arguments of the mutations, checked: what comes out of here can be decided on and stored. */
import { domainEventTypes } from '../../../backbone/events/catalogue.js';
import { unknownEventType } from '../../../backbone/events/event-type-input.js';
import { readSeverities } from '../../../backbone/rules/severity-input.js';
import { assertStorableText } from '../../../platform/database/storable.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { timeToLiveMs } from '../command/time-to-live.js';
import type { AddressGuard } from './endpoint/address-guard.js';
import { readEndpointUrl } from './endpoint/endpoint-url.js';
import type { Webhook } from './webhook.js';

/** How endpoints may be addressed here. */
export interface EndpointRules {
  readonly allowHttp: boolean;
  readonly guard: Pick<AddressGuard, 'refusal'>;
}

/** `AlertFilter` as GraphQL gives it. */
interface AlertFilterInput {
  readonly ruleIds?: readonly string[] | null;
  readonly severities?: readonly string[] | null;
}

/** `CreateWebhookInput` as GraphQL gives it. */
export interface CreateWebhookInput {
  readonly url: string;
  readonly description?: string | null;
  readonly eventTypes: readonly string[];
  readonly alerts?: AlertFilterInput | null;
  readonly idempotencyKey?: string | null;
}

/** `UpdateWebhookInput` as GraphQL gives it: what is left out stays as it is. */
export interface UpdateWebhookInput extends Partial<Omit<CreateWebhookInput, 'url' | 'eventTypes'>> {
  readonly id: string;
  readonly url?: string | null;
  readonly eventTypes?: readonly string[] | null;
}

/** `WebhookIdInput` as GraphQL gives it. */
export interface WebhookIdInput {
  readonly id: string;
  readonly idempotencyKey?: string | null;
}

export type WebhookSettings = Pick<Webhook, 'url' | 'description' | 'eventTypes' | 'ruleIds' | 'severities'>;

/** @throws FleetgraphError BAD_USER_INPUT with the field at fault. */
export function readCreateWebhookInput(input: CreateWebhookInput, rules: EndpointRules): WebhookSettings {
  return {
    url: readEndpointUrl(input.url, 'input.url', rules),
    description: readDescription(input.description),
    eventTypes: readEventTypes(input.eventTypes),
    ...readAlertFilter(input.alerts),
  };
}

/** What the update changes. @throws FleetgraphError BAD_USER_INPUT with the field at fault. */
export function readUpdateWebhookInput(input: UpdateWebhookInput, rules: EndpointRules): Partial<WebhookSettings> {
  const { url, description, eventTypes, alerts } = input;
  return {
    ...(url === undefined || url === null ? {} : { url: readEndpointUrl(url, 'input.url', rules) }),
    ...(description === undefined ? {} : { description: readDescription(description) }),
    ...(eventTypes === undefined || eventTypes === null ? {} : { eventTypes: readEventTypes(eventTypes) }),
    ...(alerts === undefined ? {} : readAlertFilter(alerts)),
  };
}

/** How long the secret before is still valid: from a second to 30 days. @throws FleetgraphError BAD_USER_INPUT. */
export function readOverlapMs(duration: string | null | undefined): number {
  return timeToLiveMs(duration ?? 'PT24H', 'input.overlap');
}

/** @throws FleetgraphError BAD_USER_INPUT for a key that can't be kept. */
export function readIdempotencyKey(key: string | null | undefined): string | undefined {
  if (key === null || key === undefined) return undefined;
  assertStorableText(key, 'input.idempotencyKey');
  if (key.length < 1 || key.length > 200) throw badInput('input.idempotencyKey', 'must be 1 to 200 characters');
  return key;
}

function readDescription(text: string | null | undefined): string | null {
  if (text === null || text === undefined || text === '') return null;
  assertStorableText(text, 'input.description');
  if (text.length > 500) throw badInput('input.description', 'must be at most 500 characters');
  return text;
}

function readEventTypes(types: readonly string[]): readonly string[] {
  if (types.length > 50) throw badInput('input.eventTypes', 'must have at most 50 types');
  types.forEach((type, index) => {
    // A misspelt type would never be delivered, without a word.
    const known = type.endsWith('.*')
      ? domainEventTypes.some((candidate) => candidate.startsWith(type.slice(0, -1)))
      : domainEventTypes.some((candidate) => candidate === type);
    if (!known)
      throw unknownEventType(
        `input.eventTypes[${index}]`,
        type,
        'or the beginning of some and ".*", e.g. "io.fleetgraph.device.*"',
      );
  });
  return [...new Set(types)];
}

function readAlertFilter(filter: AlertFilterInput | null | undefined): Pick<Webhook, 'ruleIds' | 'severities'> {
  const { ruleIds } = filter ?? {};
  const severities = filter?.severities && readSeverities(filter.severities, 'input.alerts.severities');
  return {
    ruleIds: readNames(ruleIds, 'input.alerts.ruleIds'),
    severities: readNames(severities, 'input.alerts.severities'),
  };
}

function readNames(names: readonly string[] | null | undefined, field: string): readonly string[] {
  if (names === null || names === undefined) return [];
  if (names.length > 100) throw badInput(field, `has ${names.length} entries; at most 100 are taken`);
  names.forEach((name, index) => {
    assertStorableText(name, `${field}[${index}]`);
    if (name.length < 1 || name.length > 128) throw badInput(`${field}[${index}]`, 'must be 1 to 128 characters');
  });
  return [...new Set(names)];
}

function badInput(field: string, what: string): FleetgraphError {
  return new FleetgraphError('BAD_USER_INPUT', `${field} ${what}.`, { field });
}
