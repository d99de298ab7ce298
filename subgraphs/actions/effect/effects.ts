/**
 * What an alert does: the actions of its rule, as the event of the alert carries them. Each has an id made of the event and the place of the action
 * (`effect-id.ts`), and is done in one transaction that the id makes unique: a delivery by (webhook, event), a command by
 * its idempotency key, an event by its stream. So however often the event is handled, and whatever is killed in between, there is one effect of
 * each action; and the event counts as handled only when all of them are stored.
 * What can never succeed (a webhook that was deleted, a device that was decommissioned) becomes an event that says so, and
 * keeps neither the other actions nor other alerts from theirs.
 */
import type pg from 'pg';
import type { DomainEventType, EventData } from '../../../backbone/events/catalogue.js';
import { makeEvent, type Event } from '../../../backbone/events/envelope.js';
import type { RuleAction } from '../../../backbone/rules/definition.js';
import { append } from '../../../backbone/store/event-store.js';
import { inTransaction } from '../../../platform/database/sql.js';
import { FleetgraphError, messageOf } from '../../../platform/errors.js';
import type { CommandMutations } from '../command/command-mutations.js';
import { insertDeliveries } from '../webhook/delivery/delivery-rows.js';
import { longestPendingMs } from '../webhook/delivery/delivery.js';
import { findWebhooks } from '../webhook/webhook-rows.js';
import { effectIdOf } from './effect-id.js';

/** Events of alerts that actions answer to, and what the actions call them. */
export const occasions = {
  'io.fleetgraph.alert.raised.v1': 'RAISED',
  'io.fleetgraph.alert.cleared.v1': 'CLEARED',
  'io.fleetgraph.alert.acknowledged.v1': 'ACKNOWLEDGED',
} as const;
export type AlertEvent = Event<keyof typeof occasions>;

export interface EffectOptions {
  readonly pool: pg.Pool;
  /** Must not wait for devices that are not known: nobody waits for the answer. */
  readonly commands: Pick<CommandMutations, 'send'>;
  /** Attempts that a delivery has. */
  readonly tries: number;
}

/**
 * Does what the rule says on this occasion.
 * @returns how many actions there were, and how many could not be done.
 * @throws what a database that is away throws: handle the event again.
 */
export async function runEffects(
  options: EffectOptions,
  event: AlertEvent,
): Promise<{ readonly done: number; readonly failed: number }> {
  const counts = { done: 0, failed: 0 };
  for (const [index, action] of event.data.actions.entries()) {
    if (!action.on.includes(occasions[event.type])) continue;
    try {
      await runAction(options, event, action, index);
      counts.done += 1;
    } catch (error) {
      if (!isFinal(error)) throw error;
      await appendOnce(options.pool, event, index, 'io.fleetgraph.alert.action-failed.v1', {
        ...subjectOf(event),
        severity: event.data.severity,
        actionIndex: index,
        kind: action.kind,
        error: messageOf(error),
      });
      counts.failed += 1;
    }
  }
  return counts;
}

async function runAction(options: EffectOptions, event: AlertEvent, action: RuleAction, index: number): Promise<void> {
  const { pool, commands, tries } = options;
  const id = effectIdOf(event.id, index);
  switch (action.kind) {
    case 'webhook':
      return inTransaction(pool, async (sql) => {
        const [webhook] = await findWebhooks(sql, event.tenant, [action.webhookId]);
        if (webhook === undefined)
          throw new FleetgraphError(
            'NOT_FOUND',
            `There is no webhook ${action.webhookId}. It was deleted, or never made.`,
          );
        await insertDeliveries(sql, [{ webhookId: webhook.id, event }], { tries, pendingMs: longestPendingMs });
      });
    case 'command':
      await commands.send(
        {
          identity: { tenant: event.tenant, subject: actorOf(event), scopes: new Set(), expiresAtMs: Date.now() },
          traceparent: event.traceparent,
          clientAddress: undefined,
          correlationId: event.correlationid ?? event.id,
        },
        {
          deviceId: action.deviceId ?? event.data.deviceId,
          name: action.name,
          timeToLiveMs: action.timeToLiveMs,
          parameters: action.parameters,
          idempotencyKey: `effect/${id}`,
        },
      );
      return;
    case 'publish':
      return appendOnce(pool, event, index, 'io.fleetgraph.message.requested.v1', {
        messageId: id,
        deviceId: event.data.deviceId,
        topic: action.topic,
        payload: action.payload,
      });
    case 'event':
      return appendOnce(pool, event, index, 'io.fleetgraph.custom.raised.v1', {
        ...subjectOf(event),
        name: action.name,
        data: action.data,
      });
  }
}

/** What the client of a mutation would be told is at fault: the same action would fail the same way again. */
function isFinal(error: unknown): boolean {
  return error instanceof FleetgraphError && ['NOT_FOUND', 'CONFLICT', 'BAD_USER_INPUT'].includes(error.code);
}

function subjectOf({ data: { alertId, ruleId, deviceId } }: AlertEvent) {
  return { alertId, ruleId, deviceId };
}

/** Nobody's token: the rule itself. */
function actorOf(event: AlertEvent): string {
  return `rule/${event.data.ruleId}`;
}

/** Appends the one event that this action has, unless it is there. */
async function appendOnce<T extends DomainEventType>(
  pool: pg.Pool,
  cause: AlertEvent,
  index: number,
  type: T,
  data: EventData<T>,
): Promise<void> {
  const id = effectIdOf(cause.id, index);
  const event = makeEvent<DomainEventType>({
    id,
    type,
    data,
    source: '/actions',
    subject: cause.data.deviceId,
    tenant: cause.tenant,
    actor: actorOf(cause),
    traceparent: cause.traceparent,
    correlationid: cause.correlationid ?? cause.id,
    causationid: cause.id,
  });
  try {
    await inTransaction(pool, (sql) =>
      append(sql, { tenant: cause.tenant, stream: `effect-${id}`, expectedRevision: 0, events: [event] }),
    );
  } catch (error) {
    // The stream has its one event already.
    if (!(error instanceof FleetgraphError && error.code === 'CONFLICT')) throw error;
  }
}
