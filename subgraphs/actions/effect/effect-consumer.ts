/** Runs the actions of rules when their alerts are raised, cleared or acknowledged: a consumer of `fleetgraph.events`. */
import { Counter } from 'prom-client';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import type { Event } from '../../../backbone/events/envelope.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { occasions, runEffects, type AlertEvent, type EffectOptions } from './effects.js';

export function createEffectConsumer(
  options: EffectOptions & {
    readonly bus: EventBus;
    readonly log: Logger;
    readonly metrics: Registry;
    /** Called when something was done: deliveries may wait, and events for the relay. */
    readonly onDone: () => void;
  },
): Role {
  const { bus, pool, log, metrics, onDone } = options;
  const actions = new Counter({
    name: 'fleetgraph_alert_actions_total',
    help: 'Actions of rules that were run for an alert, by whether they could be.',
    labelNames: ['result'],
    registers: [metrics],
  });
  return createConsumer({
    name: 'actions-effects',
    topics: [topics.events],
    bus,
    pool,
    log,
    metrics,
    types: Object.keys(occasions) as (keyof typeof occasions)[],
    async handle(events) {
      for (const { event } of events) {
        if (!isAlertEvent(event)) continue;
        const { done, failed } = await runEffects(options, event);
        actions.inc({ result: 'done' }, done);
        actions.inc({ result: 'failed' }, failed);
        if (failed > 0)
          log.warn({ tenant: event.tenant, ruleId: event.data.ruleId, failed }, 'actions of a rule could not be done');
        if (done + failed > 0) onDone();
      }
    },
  });
}

function isAlertEvent(event: Event): event is AlertEvent {
  return Object.hasOwn(occasions, event.type);
}
