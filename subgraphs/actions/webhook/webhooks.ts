/**
 * Webhooks: events, sent to the endpoints that ask for them. This is where its parts are put together: the consumer queues
 * (`delivery/event-consumer.ts`), the engine sends (`delivery/delivery-engine.ts`), the mutations are what people do.
 */
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import type { Config } from '../../../platform/config/config.js';
import { sqlOf } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { startDeliveryEngine, type DeliveryEngine } from './delivery/delivery-engine.js';
import { createDeliveryMetrics } from './delivery/delivery-metrics.js';
import { startDeliveryRetention } from './delivery/delivery-retention.js';
import { createWebhookConsumer } from './delivery/event-consumer.js';
import { createAddressGuard } from './endpoint/address-guard.js';
import { createPoster } from './endpoint/post.js';
import { createSecretBox } from './signing/secret-box.js';
import { createWebhookMutations } from './webhook-mutations.js';
import { createWebhookResolvers, type WebhookResolvers } from './webhook-resolvers.js';

export interface Webhooks extends Role {
  readonly resolvers: WebhookResolvers;
  /** Something was queued outside of here. */
  wake(): void;
}

export function createWebhooks(options: {
  config: Config['webhooks'];
  pool: pg.Pool;
  bus: EventBus;
  log: Logger;
  metrics: Registry;
  wakeRelay: () => void;
}): Webhooks {
  const { config, pool, bus, log, metrics } = options;
  const guard = createAddressGuard(config.allowedHosts);
  const poster = createPoster({ guard, timeoutMs: config.timeoutMs });
  const attempts = {
    pool,
    poster,
    log,
    box: createSecretBox(config.encryptionKeys),
    schedule: config.retryDelaysMs,
    metrics: createDeliveryMetrics(metrics),
    timeoutMs: config.timeoutMs,
  };
  let engine: DeliveryEngine | undefined;
  let retention: ReturnType<typeof startDeliveryRetention> | undefined;
  const wake = () => engine?.wake();
  const consumer = createWebhookConsumer({
    bus,
    pool,
    log,
    metrics,
    tries: config.retryDelaysMs.length + 1,
    onQueued: wake,
  });
  const mutations = createWebhookMutations({ ...attempts, wakeRelay: options.wakeRelay, wakeEngine: wake });

  return {
    name: 'webhooks',
    resolvers: createWebhookResolvers({ sql: sqlOf(pool), rules: { allowHttp: config.allowHttp, guard }, mutations }),
    wake,
    async start() {
      engine = startDeliveryEngine(attempts);
      retention = startDeliveryRetention({ pool, log, days: config.logRetentionDays });
      await consumer.start();
    },
    async stop() {
      await consumer.stop();
      await engine?.stop();
      await retention?.stop();
      poster.close();
    },
    async ready() {
      await consumer.ready();
      await engine?.ready();
    },
  };
}
