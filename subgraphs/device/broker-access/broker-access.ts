/**
 * What an external broker asks before it lets somebody in or a message pass: the contract of EMQX's HTTP authenticator and
 * authoriser, at `POST /mqtt/authenticate` and `POST /mqtt/authorize`. docs/broker-access.md has it with examples.
 *
 * Whatever can't be decided is denied, with status 200: EMQX takes another status for "ask the next one".
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { createHash, timingSafeEqual } from 'node:crypto';
import { Counter } from 'prom-client';
import type { Config } from '../../../platform/config/config.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { bearerToken } from '../../../platform/identity/verify-token.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { createAuthentication } from './authenticate.js';
import { createAuthorization } from './authorize.js';
import { readAuthentication, readAuthorization } from './broker-request.js';
import { createCredentials } from './credentials.js';

export interface BrokerAccessOptions {
  /** `authSecret` is what the broker must present; `username` and `password` are the bridge's own account. */
  readonly mqtt: Pick<Config['mqtt'], 'username' | 'password'> & { readonly authSecret: string };
  readonly sql: Sql;
  readonly log: Logger;
  readonly metrics: Registry;
}

/** Longer than the database takes when it is well, shorter than the broker waits (`request_timeout` in deploy/emqx). */
const answerWithinMs = 3_000;
const maxBodyBytes = 65_536;

const deny = { result: 'deny' } as const;

/** Adds the routes to `app`. */
export async function addBrokerAccess(app: FastifyInstance, options: BrokerAccessOptions): Promise<void> {
  const { mqtt, sql, log, metrics } = options;
  const questions = new Counter({
    name: 'fleetgraph_device_broker_questions_total',
    help: 'Questions of the MQTT broker, who may connect and what they may do, by answer.',
    labelNames: ['question', 'answer'],
    registers: [metrics],
  });
  const outages = createOutageLog({ log, event: 'questions of the MQTT broker can not be answered, and are denied' });
  const credentials = createCredentials(sql);
  const authenticate = createAuthentication({ account: mqtt, credentials, log });
  const authorize = createAuthorization({ account: mqtt, credentials });

  await app.register(async (routes) => {
    // Before the body is read: who is not the broker learns nothing, and costs nothing.
    routes.addHook('onRequest', async (request) => {
      if (!isSecret(bearerToken(request.headers.authorization), mqtt.authSecret))
        throw new FleetgraphError(
          'UNAUTHENTICATED',
          'Only the MQTT broker may ask this. It presents MQTT_AUTH_SECRET as a bearer token.',
        );
    });
    const refuse = (question: string, reply: FastifyReply, error: unknown): unknown => {
      outages.failed(question, error, { question });
      questions.inc({ question, answer: 'unavailable' });
      return reply.code(200).send(deny);
    };
    const ask = <Question>(
      question: string,
      read: (body: unknown) => Question,
      answer: (question: Question) => Promise<{ readonly result: 'allow' | 'deny' }>,
    ): void => {
      routes.post(
        `/mqtt/${question}`,
        {
          bodyLimit: maxBodyBytes,
          errorHandler: (error, request, reply) =>
            error instanceof FleetgraphError ? app.errorHandler(error, request, reply) : refuse(question, reply, error),
        },
        async (request) => {
          const reply = await inTime(answer(read(request.body)), answerWithinMs);
          outages.succeeded(question);
          questions.inc({ question, answer: reply.result });
          return reply;
        },
      );
    };
    ask('authenticate', readAuthentication, authenticate);
    ask('authorize', readAuthorization, authorize);
  });
}

/** Compares in a time that tells nothing of the secret, its length included. */
function isSecret(given: string | undefined, secret: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given ?? ''), digest(secret)) && given !== undefined;
}

async function inTime<T>(work: Promise<T>, withinMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`there was no answer within ${withinMs} ms`)), withinMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
