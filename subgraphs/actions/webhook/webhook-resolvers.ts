/** The resolvers of webhooks and deliveries. */
import type { Sql } from '../../../platform/database/sql.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import type { Connection, PageArguments } from '../../../platform/graphql/page.js';
import { isPossibleId } from '../command/command-input.js';
import { stateOf, type CircuitState } from './endpoint/circuit.js';
import type { Delivery, DeliveryStatus } from './delivery/delivery.js';
import { findDeliveries } from './delivery/delivery-rows.js';
import type { Webhook } from './webhook.js';
import {
  readCreateWebhookInput,
  readIdempotencyKey,
  readOverlapMs,
  readUpdateWebhookInput,
  type CreateWebhookInput,
  type EndpointRules,
  type UpdateWebhookInput,
  type WebhookIdInput,
} from './webhook-input.js';
import type { WebhookMutations } from './webhook-mutations.js';
import { pageOfDeliveries, pageOfWebhooks, type DeliveryFilter } from './webhook-page.js';
import { findCircuits, findWebhooks } from './webhook-rows.js';

export type WebhookResolvers = ReturnType<typeof createWebhookResolvers>;

type Input<T> = { readonly input: T };

export function createWebhookResolvers(options: { sql: Sql; rules: EndpointRules; mutations: WebhookMutations }) {
  const { sql, rules, mutations } = options;
  const keyOf = ({ idempotencyKey }: { readonly idempotencyKey?: string | null }) => readIdempotencyKey(idempotencyKey);
  return {
    Query: {
      webhook: async (_: unknown, { id }: { id: string }, { identity }: RequestContext): Promise<Webhook | null> =>
        isPossibleId(id) ? ((await findWebhooks(sql, identity.tenant, [id]))[0] ?? null) : null,
      webhooks: (_: unknown, args: PageArguments, { identity }: RequestContext): Promise<Connection<Webhook>> =>
        pageOfWebhooks(sql, identity.tenant, args),
      delivery: async (_: unknown, { id }: { id: string }, { identity }: RequestContext): Promise<Delivery | null> =>
        isPossibleId(id) ? ((await findDeliveries(sql, identity.tenant, [id]))[0] ?? null) : null,
      deliveries: (
        _: unknown,
        args: PageArguments & { filter?: DeliveryFilter | null },
        { identity }: RequestContext,
      ): Promise<Connection<Delivery>> => pageOfDeliveries(sql, identity.tenant, args),
    },

    Mutation: {
      createWebhook: (_: unknown, { input }: Input<CreateWebhookInput>, context: RequestContext) =>
        mutations.create(context, readCreateWebhookInput(input, rules), keyOf(input)),
      updateWebhook: (_: unknown, { input }: Input<UpdateWebhookInput>, context: RequestContext) =>
        mutations.update(context, input.id, readUpdateWebhookInput(input, rules), keyOf(input)),
      deleteWebhook: (_: unknown, { input }: Input<WebhookIdInput>, context: RequestContext) =>
        mutations.delete(context, input.id, keyOf(input)),
      pauseWebhook: (_: unknown, { input }: Input<WebhookIdInput>, context: RequestContext) =>
        mutations.pause(context, input.id, keyOf(input)),
      resumeWebhook: (_: unknown, { input }: Input<WebhookIdInput>, context: RequestContext) =>
        mutations.resume(context, input.id, keyOf(input)),
      rotateWebhookSecret: (
        _: unknown,
        { input }: Input<WebhookIdInput & { overlap?: string | null }>,
        context: RequestContext,
      ) => mutations.rotateSecret(context, input.id, readOverlapMs(input.overlap), keyOf(input)),
      testWebhook: (_: unknown, { id }: { id: string }, context: RequestContext) => mutations.test(context, id),
      redeliver: (_: unknown, { id }: { id: string }, context: RequestContext) => mutations.redeliver(context, id),
    },

    Webhook: {
      alerts: ({ ruleIds, severities }: Webhook) => ({ ruleIds, severities }),
      previousSecretValidUntil: ({ previousSecretExpiresAt }: Webhook): Date | null =>
        previousSecretExpiresAt !== null && previousSecretExpiresAt.getTime() > Date.now()
          ? previousSecretExpiresAt
          : null,
      circuit: async ({ id }: Webhook): Promise<CircuitState> => {
        const circuit = (await findCircuits(sql, [id])).get(id);
        return circuit === undefined ? 'CLOSED' : stateOf(circuit, Date.now());
      },
      deliveries: (
        { id }: Webhook,
        args: PageArguments & { status?: readonly DeliveryStatus[] | null },
        { identity }: RequestContext,
      ): Promise<Connection<Delivery>> =>
        pageOfDeliveries(sql, identity.tenant, { ...args, filter: { webhookId: id, status: args.status ?? null } }),
    },

    Delivery: {
      webhook: async ({ webhookId }: Delivery, _: unknown, { identity }: RequestContext): Promise<Webhook | null> =>
        (await findWebhooks(sql, identity.tenant, [webhookId]))[0] ?? null,
      payload: ({ payload }: Delivery): unknown => JSON.parse(payload),
    },
  };
}
