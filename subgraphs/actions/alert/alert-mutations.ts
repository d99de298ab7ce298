/** `acknowledgeAlert`, `clearAlert`, `commentAlert`: each is one transaction of alert and event. */
import type pg from 'pg';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { lastEventId } from '../../../backbone/store/last-event.js';
import { inTransaction, type Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { isPossibleId } from '../command/command-input.js';
import { text } from '../rule/rule-input.js';
import { streamOf, type Alert } from './alert.js';
import type { AlertMetrics } from './alert-metrics.js';
import { findAlerts, lockSlots } from './alert-rows.js';
import { maxComments, type AlertInput } from './life-cycle.js';
import { moveAlerts, type Moved } from './move-alerts.js';

type Caller = Pick<RequestContext, 'identity' | 'traceparent' | 'correlationId' | 'clientAddress'>;

export interface AlertReply {
  readonly alert: Alert;
  readonly consistencyToken: string;
}

export interface AlertMutations {
  acknowledge(caller: Caller, input: { readonly id: string; readonly comment?: string | null }): Promise<AlertReply>;
  clear(caller: Caller, input: { readonly id: string; readonly comment?: string | null }): Promise<AlertReply>;
  comment(caller: Caller, input: { readonly id: string; readonly text: string }): Promise<AlertReply>;
}

export function createAlertMutations(options: {
  readonly pool: pg.Pool;
  readonly metrics: AlertMetrics;
  readonly wakeRelay: () => void;
}): AlertMutations {
  /** Moves the alert that is there; `refuse` throws if it is not to be. */
  const move = async (
    caller: Caller,
    id: string,
    input: AlertInput,
    refuse: (alert: Alert) => void,
  ): Promise<AlertReply> => {
    const { tenant } = caller.identity;
    const done = await inTransaction(options.pool, async (sql) => {
      const slot = await find(sql, tenant, id);
      await lockSlots(sql, [slot]);
      const alert = await find(sql, tenant, id);
      refuse(alert);
      const { clientAddress: clientaddress, traceparent, correlationId: correlationid } = caller;
      const cause = { clientaddress, traceparent, correlationid };
      const moved = await moveAlerts(sql, [{ slot: alert, input, cause, alert }]);
      const eventId = moved.at(-1)?.eventId ?? (await lastEventId(sql, tenant, streamOf(id)));
      return { moved, alert: moved.at(-1)?.alert ?? alert, eventId };
    });
    tell(done.moved);
    return { alert: done.alert, consistencyToken: consistencyTokenOf(done.eventId) };
  };

  const tell = (moved: readonly Moved[]): void => {
    options.metrics.moved(moved);
    if (moved.length > 0) options.wakeRelay();
  };

  return {
    acknowledge(caller, { id, comment }) {
      const by = caller.identity.subject;
      return move(caller, id, { kind: 'acknowledge', atMs: Date.now(), by, comment: readComment(comment) }, (alert) => {
        if (alert.acknowledgedBy !== null && alert.acknowledgedBy !== by)
          throw new FleetgraphError('CONFLICT', `The alert ${id} was acknowledged by ${alert.acknowledgedBy} already.`);
      });
    },
    clear(caller, { id, comment }) {
      const by = caller.identity.subject;
      return move(caller, id, { kind: 'clear', atMs: Date.now(), by, comment: readComment(comment) }, (alert) => {
        // Somebody who clears again what they have cleared is retrying.
        if (alert.status === 'CLEARED' && alert.clearedBy !== by)
          throw new FleetgraphError(
            'CONFLICT',
            `The alert ${id} has ended at ${String(alert.clearedAt?.toISOString())} already.`,
          );
      });
    },
    comment(caller, input) {
      const said = text(input.text, 2_000, 'input.text');
      const by = caller.identity.subject;
      return move(caller, input.id, { kind: 'comment', atMs: Date.now(), by, text: said }, (alert) => {
        if (alert.comments.length >= maxComments)
          throw new FleetgraphError(
            'CONFLICT',
            `The alert ${input.id} has ${maxComments} comments, which is all it takes.`,
          );
      });
    },
  };
}

async function find(sql: Sql, tenant: string, id: string) {
  const [alert] = isPossibleId(id) ? await findAlerts(sql, tenant, [id]) : [];
  if (alert === undefined)
    throw new FleetgraphError('NOT_FOUND', `There is no alert ${id.slice(0, 128)}. Check the id.`, {
      field: 'input.id',
    });
  return alert;
}

function readComment(comment: string | null | undefined): string | undefined {
  return comment === null || comment === undefined ? undefined : text(comment, 2_000, 'input.comment');
}
