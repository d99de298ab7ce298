/**
 * What people do with webhooks: each is one transaction of write model, event and idempotency key. A secret goes into none
 * of the latter two: a repetition of `createWebhook` reads it from the webhook again.
 */
import { randomUUID } from 'node:crypto';
import type { DomainEventType } from '../../../backbone/events/catalogue.js';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { makeEvent, type Event, type NewEvent } from '../../../backbone/events/envelope.js';
import { append } from '../../../backbone/store/event-store.js';
import { once } from '../../../backbone/store/idempotency.js';
import { inTransaction, sqlOf, type Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { isPossibleId } from '../command/command-input.js';
import { attempt, type AttemptOptions } from './delivery/attempt.js';
import { claimOne } from './delivery/claim.js';
import { deliveryIdOf, type Delivery } from './delivery/delivery.js';
import { findDeliveries, insertDeliveries, requeueDelivery } from './delivery/delivery-rows.js';
import { generateSecret } from './signing/secret-box.js';
import { streamOf, type Webhook } from './webhook.js';
import type { WebhookSettings } from './webhook-input.js';
import {
  closeCircuit,
  countWebhooks,
  findWebhooks,
  insertWebhook,
  lockWebhook,
  removeWebhook,
  saveWebhook,
} from './webhook-rows.js';

/** Who asks. */
export type Caller = Pick<RequestContext, 'identity' | 'traceparent' | 'correlationId' | 'clientAddress'>;

export interface WebhookReply {
  readonly webhook: Webhook;
  readonly consistencyToken: string;
}

export interface SecretReply extends WebhookReply {
  /** As the receiver configures it. */
  readonly secret: string;
}

export interface DeliveryReply {
  readonly delivery: Delivery;
  readonly consistencyToken: string;
}

export interface WebhookMutationsOptions extends AttemptOptions {
  readonly timeoutMs: number;
  readonly wakeRelay: () => void;
  /** Something was queued, or may go out again. */
  readonly wakeEngine: () => void;
}

/** A tenant has at most so many: each may have attempts under way. */
export const maxWebhooks = 100;
/** A test that was broken off is not sent any more after this. */
const testPendingMs = 60_000;

export type WebhookMutations = ReturnType<typeof createWebhookMutations>;

export function createWebhookMutations(options: WebhookMutationsOptions) {
  const { pool, box } = options;

  /** Runs `work` in a transaction, once for each idempotency key. @returns the webhook's id and the id of its event. */
  const transact = async (
    caller: Caller,
    request: { readonly operation: string; readonly key: string | undefined; readonly input: unknown },
    work: (sql: Sql) => Promise<Kept>,
  ): Promise<Kept> => {
    const kept = await inTransaction(pool, async (sql) => {
      if (request.key === undefined) return work(sql);
      const { operation, key, input } = request;
      const identified = { tenant: caller.identity.tenant, operation, key, request: input };
      return (await once(sql, 'actions.idempotency_keys', identified, () => work(sql))).response;
    });
    options.wakeRelay();
    return kept;
  };

  /** Changes a webhook; `change` returns it as it is to be, and what is told of it. */
  const change = async (
    caller: Caller,
    request: { readonly operation: string; readonly key: string | undefined; readonly input: { readonly id: string } },
    decide: (webhook: Webhook, sql: Sql) => Promise<Change> | Change,
  ): Promise<WebhookReply> => {
    const kept = await transact(caller, request, async (sql) => {
      const before = await mustLock(sql, caller, request.input.id);
      const { webhook, type, data } = await decide(before, sql);
      const after = { ...webhook, revision: before.revision + 1, updatedAt: new Date() };
      await saveWebhook(sql, after);
      return { webhookId: after.id, eventId: await tell(sql, caller, after, { type, data }) };
    });
    return { webhook: await mustFind(caller, kept.webhookId), consistencyToken: consistencyTokenOf(kept.eventId) };
  };

  const mustFind = async (caller: Caller, id: string): Promise<Webhook> => {
    const [webhook] = await findWebhooks(sqlOf(pool), caller.identity.tenant, [id]);
    if (webhook === undefined) throw noSuchWebhook(id);
    return webhook;
  };

  const mustFindDelivery = async (caller: Caller, id: string): Promise<Delivery> => {
    const [delivery] = await findDeliveries(sqlOf(pool), caller.identity.tenant, [id]);
    if (delivery === undefined) throw noSuchDelivery(id);
    return delivery;
  };

  return {
    async create(caller: Caller, settings: WebhookSettings, key: string | undefined): Promise<SecretReply> {
      const kept = await transact(caller, { operation: 'createWebhook', key, input: settings }, async (sql) => {
        const { tenant } = caller.identity;
        if ((await countWebhooks(sql, tenant)) >= maxWebhooks)
          throw new FleetgraphError(
            'CONFLICT',
            `There are ${maxWebhooks} webhooks already. Delete one that is not needed.`,
          );
        const [id, now] = [randomUUID(), new Date()];
        const webhook: Webhook = {
          ...settings,
          id,
          tenant,
          status: 'ACTIVE',
          secret: box.seal(generateSecret(), id),
          previousSecret: null,
          previousSecretExpiresAt: null,
          revision: 1,
          createdAt: now,
          updatedAt: now,
        };
        await insertWebhook(sql, webhook);
        const data = factsOf(webhook);
        return {
          webhookId: id,
          eventId: await tell(sql, caller, webhook, { type: 'io.fleetgraph.webhook.created.v1', data }),
        };
      });
      const webhook = await mustFind(caller, kept.webhookId);
      return {
        webhook,
        secret: box.open(webhook.secret, webhook.id),
        consistencyToken: consistencyTokenOf(kept.eventId),
      };
    },

    update: (
      caller: Caller,
      id: string,
      settings: Partial<WebhookSettings>,
      key: string | undefined,
    ): Promise<WebhookReply> =>
      change(caller, { operation: 'updateWebhook', key, input: { id, ...settings } }, async (before, sql) => {
        const webhook = { ...before, ...settings };
        if (webhook.url !== before.url) await closeCircuit(sql, before.id);
        return { webhook, type: 'io.fleetgraph.webhook.updated.v1', data: factsOf(webhook) };
      }),

    /** Deliveries wait until it is resumed. Pausing a paused one changes nothing, but is told. */
    pause: (caller: Caller, id: string, key: string | undefined): Promise<WebhookReply> =>
      change(caller, { operation: 'pauseWebhook', key, input: { id } }, (before) => ({
        webhook: { ...before, status: 'PAUSED' },
        type: 'io.fleetgraph.webhook.paused.v1',
        data: { webhookId: id },
      })),

    async resume(caller: Caller, id: string, key: string | undefined): Promise<WebhookReply> {
      const reply = await change(caller, { operation: 'resumeWebhook', key, input: { id } }, async (before, sql) => {
        await closeCircuit(sql, id);
        const webhook: Webhook = { ...before, status: 'ACTIVE' };
        return { webhook, type: 'io.fleetgraph.webhook.resumed.v1', data: { webhookId: id } };
      });
      options.wakeEngine();
      return reply;
    },

    /** A secret before the last, if it is still valid, ends at once: at most two sign. */
    async rotateSecret(caller: Caller, id: string, overlapMs: number, key: string | undefined): Promise<SecretReply> {
      const { webhook, consistencyToken } = await change(
        caller,
        { operation: 'rotateWebhookSecret', key, input: { id } },
        (before) => {
          const previousSecretExpiresAt = new Date(Date.now() + overlapMs);
          const secret = box.seal(generateSecret(), id);
          return {
            webhook: { ...before, secret, previousSecret: before.secret, previousSecretExpiresAt },
            type: 'io.fleetgraph.webhook.secret-rotated.v1',
            data: { webhookId: id, previousValidUntil: previousSecretExpiresAt.toISOString() },
          };
        },
      );
      return { webhook, consistencyToken, secret: box.open(webhook.secret, webhook.id) };
    },

    async delete(
      caller: Caller,
      id: string,
      key: string | undefined,
    ): Promise<{ id: string; consistencyToken: string }> {
      const kept = await transact(caller, { operation: 'deleteWebhook', key, input: { id } }, async (sql) => {
        const before = await mustLock(sql, caller, id);
        await removeWebhook(sql, before);
        const after = { ...before, revision: before.revision + 1 };
        const told = { type: 'io.fleetgraph.webhook.deleted.v1', data: { webhookId: id } } as const;
        return { webhookId: id, eventId: await tell(sql, caller, after, told) };
      });
      return { id: kept.webhookId, consistencyToken: consistencyTokenOf(kept.eventId) };
    },

    /** Sends an event made for it, at once and once, whether or not the webhook is paused, and waits for the answer. */
    async test(caller: Caller, id: string): Promise<DeliveryReply> {
      const { event, claimed } = await inTransaction(pool, async (sql) => {
        const before = await mustLock(sql, caller, id, 'id');
        const webhook = { ...before, revision: before.revision + 1, updatedAt: new Date() };
        await saveWebhook(sql, webhook);
        const made = eventOf(caller, webhook, { type: 'io.fleetgraph.webhook.tested.v1', data: { webhookId: id } });
        await appendOne(sql, webhook, made);
        await insertDeliveries(sql, [{ webhookId: id, event: made }], { tries: 1, pendingMs: testPendingMs });
        return { event: made, claimed: await claimOne(sql, deliveryIdOf(id, made.id), options.timeoutMs + 10_000) };
      });
      options.wakeRelay();
      if (claimed !== undefined) await attempt(options, claimed, new AbortController().signal);
      return {
        delivery: await mustFindDelivery(caller, deliveryIdOf(id, event.id)),
        consistencyToken: consistencyTokenOf(event.id),
      };
    },

    /** Puts a delivery that has ended into the queue again, under the same id. */
    async redeliver(caller: Caller, id: string): Promise<DeliveryReply> {
      if (!isPossibleId(id)) throw noSuchDelivery(id);
      const { tenant } = caller.identity;
      const eventId = await inTransaction(pool, async (sql) => {
        const [delivery] = await findDeliveries(sql, tenant, [id]);
        if (delivery === undefined) throw noSuchDelivery(id);
        const before = await mustLock(sql, caller, delivery.webhookId);
        if (!(await requeueDelivery(sql, tenant, id, options.schedule.length + 1)))
          throw new FleetgraphError(
            'CONFLICT',
            `The delivery ${id} is under way already; its next attempt comes by itself.`,
          );
        const webhook = { ...before, revision: before.revision + 1, updatedAt: new Date() };
        await saveWebhook(sql, webhook);
        const data = { webhookId: webhook.id, deliveryId: id };
        return tell(sql, caller, webhook, { type: 'io.fleetgraph.webhook.redelivery-requested.v1', data });
      });
      options.wakeRelay();
      options.wakeEngine();
      return { delivery: await mustFindDelivery(caller, id), consistencyToken: consistencyTokenOf(eventId) };
    },
  };
}

interface Kept {
  readonly webhookId: string;
  readonly eventId: string;
}

type Told = Pick<NewEvent<DomainEventType>, 'type' | 'data'>;

interface Change extends Told {
  readonly webhook: Webhook;
}

async function mustLock(sql: Sql, caller: Caller, id: string, field = 'input.id'): Promise<Webhook> {
  const webhook = isPossibleId(id) ? await lockWebhook(sql, caller.identity.tenant, id) : undefined;
  if (webhook === undefined) throw noSuchWebhook(id, field);
  return webhook;
}

function eventOf(caller: Caller, webhook: Webhook, told: Told): Event<DomainEventType> {
  return makeEvent<DomainEventType>({
    ...told,
    source: '/actions',
    subject: webhook.id,
    tenant: webhook.tenant,
    actor: caller.identity.subject,
    clientaddress: caller.clientAddress,
    traceparent: caller.traceparent,
    correlationid: caller.correlationId,
  });
}

/** @returns the id of the event. */
async function tell(sql: Sql, caller: Caller, webhook: Webhook, told: Told): Promise<string> {
  const event = eventOf(caller, webhook, told);
  await appendOne(sql, webhook, event);
  return event.id;
}

async function appendOne(sql: Sql, webhook: Webhook, event: Event<DomainEventType>): Promise<void> {
  const { tenant, id, revision } = webhook;
  await append(sql, { tenant, stream: streamOf(id), expectedRevision: revision - 1, events: [event] });
}

function factsOf(webhook: Webhook) {
  const { id, url, description, eventTypes, ruleIds, severities } = webhook;
  return {
    webhookId: id,
    origin: new URL(url).origin,
    eventTypes: [...eventTypes],
    ruleIds: [...ruleIds],
    severities: [...severities],
    ...(description === null ? {} : { description }),
  };
}

function noSuchWebhook(id: string, field = 'input.id'): FleetgraphError {
  return new FleetgraphError('NOT_FOUND', `There is no webhook ${id}. Check the id.`, { field });
}

function noSuchDelivery(id: string): FleetgraphError {
  return new FleetgraphError('NOT_FOUND', `There is no delivery ${id}. The log keeps those of the last days.`, {
    field: 'id',
  });
}
