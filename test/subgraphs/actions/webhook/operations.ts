/** The operations on webhooks that the tests of this folder send. */
import type { ActionsInstance, ActionsWorld, As } from '../actions-world.js';
import { topics } from '../../../../backbone/bus/topics.js';
import { encode, makeEvent } from '../../../../backbone/events/envelope.js';
import { startWebhookReceiver, type WebhookReceiver } from '../../../world/webhook-receiver.js';

export interface DeliveryView {
  readonly id: string;
  readonly eventId: string;
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly status: string;
  readonly attempts: number;
  readonly nextAttemptAt: string | null;
  readonly responseStatus: number | null;
  readonly latencyMs: number | null;
  readonly error: string | null;
}

export interface WebhookView {
  readonly id: string;
  readonly url: string;
  readonly description: string | null;
  readonly eventTypes: readonly string[];
  readonly status: string;
  readonly circuit: string;
  readonly previousSecretValidUntil: string | null;
}

export const deliveryFields = 'id eventId type payload status attempts nextAttemptAt responseStatus latencyMs error';
export const webhookFields = 'id url description eventTypes status circuit previousSecretValidUntil';

export const createMutation = `mutation Create($input: CreateWebhookInput!) {
  createWebhook(input: $input) { webhook { ${webhookFields} } secret consistencyToken } }`;

/** Settings with which an instance may call receivers on this machine. */
export const local = { WEBHOOK_ALLOW_HTTP: 'true', WEBHOOK_ALLOWED_HOSTS: '127.0.0.1' };

/** Creates a webhook that must be accepted. */
export async function create(
  instance: ActionsInstance,
  input: { readonly url: string } & Readonly<Record<string, unknown>>,
  as?: As,
): Promise<{ readonly webhook: WebhookView; readonly secret: string }> {
  const variables = { input: { eventTypes: ['io.fleetgraph.device.registered.v1'], ...input } };
  type Data = { createWebhook: { webhook: WebhookView; secret: string } };
  return (await instance.data<Data>(createMutation, variables, as)).createWebhook;
}

/** The deliveries of a webhook, newest first. */
export async function deliveriesOf(instance: ActionsInstance, id: string, as?: As): Promise<readonly DeliveryView[]> {
  const query = `query Log($id: ID!) { webhook(id: $id) { deliveries(first: 100) { edges { node { ${deliveryFields} } } } } }`;
  type Data = { webhook: { deliveries: { edges: readonly { node: DeliveryView }[] } } | null };
  return ((await instance.data<Data>(query, { id }, as)).webhook?.deliveries.edges ?? []).map(({ node }) => node);
}

/** One of the mutations that take an id in an input. */
export async function act<T>(instance: ActionsInstance, name: string, id: string, selection: string): Promise<T> {
  const type = name === 'rotateWebhookSecret' ? 'RotateWebhookSecretInput' : 'WebhookIdInput';
  const query = `mutation Act($input: ${type}!) { ${name}(input: $input) { ${selection} } }`;
  const data = await instance.data<Record<string, T>>(query, { input: { id } });
  return data[name] as T;
}

/** Publishes the same event of a device again, or a new one. @returns its id. */
export async function publishRegistered(
  world: ActionsWorld,
  event: { readonly id?: string; readonly tenant?: string; readonly deviceId?: string } = {},
): Promise<string> {
  const deviceId = event.deviceId ?? 'd1';
  const made = makeEvent({
    source: '/device',
    type: 'io.fleetgraph.device.registered.v1',
    subject: deviceId,
    tenant: event.tenant ?? 'acme',
    actor: 'tester',
    data: { deviceId, name: 'B', typeId: 'generic', labels: {} },
    ...(event.id === undefined ? {} : { id: event.id }),
  });
  await world.bus.publish(topics.events, [encode(made)]);
  return made.id;
}

export { startWebhookReceiver, type WebhookReceiver };
