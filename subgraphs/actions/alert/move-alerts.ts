/**
 * Alerts moved and stored: whoever moves one, its rule, a person or the clock, does it here, holding its slot. A transaction writes
 * alerts and events; what has happened is returned for the caller to tell once that is committed.
 */
import { makeEvent } from '../../../backbone/events/envelope.js';
import { appendAll } from '../../../backbone/store/event-store.js';
import type { Sql } from '../../../platform/database/sql.js';
import { streamOf } from './alert.js';
import { lastAlerts, lockSlots, saveAlerts, slotName, type Slot, type StoredAlert } from './alert-rows.js';
import { decide, evolve, type AlertEventType, type AlertInput } from './life-cycle.js';

/** Who or what brought it about. */
export interface Cause {
  readonly clientaddress?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly correlationid?: string | undefined;
  readonly causationid?: string | undefined;
}

export interface Move {
  readonly slot: Slot;
  readonly input: AlertInput;
  readonly cause: Cause;
  /** Number of the fact that a rule says it with: one that is not newer than the last has been taken in before. */
  readonly sequence?: number;
  /** The alert that is meant, where it need not be the last one of its slot. */
  readonly alert?: StoredAlert;
}

export interface Moved {
  /** As it is now. */
  readonly alert: StoredAlert;
  readonly type: AlertEventType;
  readonly eventId: string;
}

/** Makes the moves, in their order. The transaction is the caller's. */
export async function moveAlerts(transaction: Sql, moves: readonly Move[]): Promise<readonly Moved[]> {
  const slots = [...new Map(moves.map(({ slot }) => [slotName(slot), slot])).values()];
  await lockSlots(transaction, slots);
  const last = new Map((await lastAlerts(transaction, slots)).map((alert) => [slotName(alert), alert]));
  const changed = new Map<
    string,
    { before: number; alert: StoredAlert; events: ReturnType<typeof makeEvent<AlertEventType>>[] }
  >();
  const moved: Moved[] = [];
  for (const { slot, input, cause, sequence, alert: meant } of moves) {
    const name = slotName(slot);
    if (meant !== undefined) last.set(name, meant);
    if (sequence !== undefined && sequence <= (last.get(name)?.factSequence ?? 0)) continue;
    for (const fact of decide(last.get(name), input)) {
      const before = last.get(name);
      const alert = { ...evolve(before, fact), factSequence: sequence ?? before?.factSequence ?? 0 };
      const { actor, ...rest } = fact;
      const event = makeEvent<AlertEventType>({
        ...cause,
        ...rest,
        actor,
        source: '/actions',
        subject: slot.deviceId,
        time: fact.data.at,
      });
      last.set(name, alert);
      const change = changed.get(alert.id) ?? { before: alert.revision - 1, alert, events: [] };
      change.alert = alert;
      change.events.push(event);
      changed.set(alert.id, change);
      moved.push({ alert, type: fact.type, eventId: event.id });
    }
  }
  const changes = [...changed.values()];
  await saveAlerts(
    transaction,
    changes.map(({ alert }) => alert),
  );
  if (changes.length > 0)
    await appendAll(
      transaction,
      changes.map(({ before, alert, events }) => ({
        tenant: alert.tenant,
        stream: streamOf(alert.id),
        expectedRevision: before,
        events,
      })),
    );
  return moved;
}
