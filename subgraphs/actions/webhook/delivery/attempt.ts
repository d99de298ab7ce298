/** One attempt of a delivery: sign, post, write down what came of it. */
import type pg from 'pg';
import { isTransientDatabaseError } from '../../../../platform/database/transient.js';
import { messageOf } from '../../../../platform/errors.js';
import { backoffMs, pause } from '../../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../../platform/observability/logger.js';
import type { Poster, PostResult } from '../endpoint/post.js';
import type { SecretBox } from '../signing/secret-box.js';
import { sign } from '../signing/sign.js';
import { recordAttempt, type Claimed, type Outcome } from './claim.js';
import type { DeliveryMetrics } from './delivery-metrics.js';

export interface AttemptOptions {
  readonly pool: pg.Pool;
  readonly poster: Poster;
  readonly box: SecretBox;
  /** Pauses before each further attempt, in milliseconds. */
  readonly schedule: readonly number[];
  readonly metrics: DeliveryMetrics;
  readonly log: Logger;
}

/**
 * Makes the attempt and records it, however long the database is away meanwhile: what was sent must not be sent again only
 * because we could not say so. Should the lease pass before, someone else sends it once more, under the same id.
 * @throws the reason of `signal` when it is aborted before the endpoint has answered: nothing is recorded then.
 */
export async function attempt(options: AttemptOptions, claimed: Claimed, signal: AbortSignal): Promise<Outcome> {
  const result = await send(options, claimed, signal);
  const stopping = AbortSignal.timeout(longestRecordingMs);
  for (let failures = 0; ; failures += 1) {
    try {
      const outcome = await recordAttempt(options.pool, claimed, result, options.schedule);
      options.metrics.attempted(outcome, result);
      if (result.error !== undefined) {
        options.log.info(
          {
            tenant: claimed.tenant,
            webhookId: claimed.webhookId,
            deliveryId: claimed.id,
            outcome,
            reason: result.error,
          },
          'a webhook could not be delivered',
        );
      }
      return outcome;
    } catch (error) {
      if (!isTransientDatabaseError(error) || signal.aborted || stopping.aborted) throw error;
      options.log.warn({ reason: messageOf(error) }, 'the outcome of a delivery could not be stored; trying again');
      await pause(50 + backoffMs(failures, 100, 2_000), signal);
    }
  }
}

/** Longer than any lease: behind it, the delivery is somebody else's. */
const longestRecordingMs = 120_000;

async function send(options: AttemptOptions, claimed: Claimed, signal: AbortSignal): Promise<PostResult> {
  let secrets: readonly string[];
  try {
    secrets = [claimed.secret, claimed.previousSecret]
      .filter((secret) => secret !== null)
      .map((secret) => options.box.open(secret, claimed.webhookId));
  } catch (error) {
    // Not the endpoint's fault, but nothing can be sent unsigned: it waits like one that failed, until there is a key.
    options.log.error({ webhookId: claimed.webhookId, err: error }, 'the secret of a webhook can not be opened');
    return { status: undefined, error: messageOf(error), retryAfterMs: undefined, latencyMs: 0 };
  }
  const headers = {
    'content-type': 'application/cloudevents+json; charset=utf-8',
    'user-agent': 'fleetgraph-webhooks/1',
    ...sign({ id: claimed.id, body: claimed.payload, atMs: Date.now() }, secrets),
  };
  return options.poster.post(claimed.url, { headers, body: claimed.payload }, signal);
}
