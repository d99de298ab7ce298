/**
 * Telemetry over HTTP, for what can't speak MQTT: `POST /ingest/v1/telemetry` with a JSON object, a JSON array, or NDJSON.
 * The same intake as MQTT's, so the same checks and the same promise: a line that is answered "accepted" is durable.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { DeviceDirectory, DeviceProfile } from '../../backbone/devices/device-directory.js';
import { createLoginThrottle, type LoginThrottle } from '../../backbone/devices/login-throttle.js';
import { FleetgraphError } from '../../platform/errors.js';
import { bearerToken, type VerifyToken } from '../../platform/identity/verify-token.js';
import { isObject, parseJson, RejectedPayload } from '../decoders/decoder.js';
import { readingsOf } from '../decoders/json.js';
import type { BridgeMetrics } from '../bridge-metrics.js';
import type { Intake } from '../intake/intake.js';
import type { Rejections } from '../intake/rejections.js';
import type { DeviceCache } from './device-cache.js';

export const maxLines = 10_000;

/** How long a request may wait for the bus: longer than any batch takes, shorter than senders wait. */
const answerWithinMs = 10_000;

/** Who sends: a token of the tenant for any of its devices, or one device for itself. */
type Sender = { readonly tenant: string; readonly device?: DeviceProfile };

/** The text of a message, or why there is none. */
type Line = string | RejectedPayload;

type LineResult =
  | { readonly line: number; readonly status: 'accepted' }
  | { readonly line: number; readonly status: 'rejected'; readonly reason: string; readonly message: string };

export interface IngestRoutesOptions {
  readonly directory: DeviceDirectory;
  readonly devices: DeviceCache;
  readonly verifyToken: VerifyToken;
  readonly intake: Intake;
  /** Throws while the bus takes nothing: then nothing of a request is kept waiting in memory. */
  readonly busReady: () => void;
  readonly rejections: Rejections;
  readonly metrics: BridgeMetrics;
  readonly maxLineBytes: number;
}

/** Adds the routes of HTTP ingest to `app`. */
export function addIngestRoutes(app: FastifyInstance, options: IngestRoutesOptions): void {
  const { devices, intake, rejections, metrics } = options;
  const authentication = { ...options, throttle: createLoginThrottle({ maxDelayMs: 0 }) };
  // Bodies as text: each line is parsed by itself, so that one that is malformed spoils no other.
  app.addContentTypeParser(
    ['application/json', 'application/x-ndjson', 'application/ndjson'],
    { parseAs: 'string' },
    (_request, body, done) => done(null, body),
  );

  const takeLine = async (sender: Sender, line: number, text: Line): Promise<LineResult> => {
    let deviceId = sender.device?.deviceId ?? '';
    try {
      if (text instanceof RejectedPayload) throw text;
      if (Buffer.byteLength(text) > options.maxLineBytes)
        throw new RejectedPayload('payload_too_large', `The line is larger than ${options.maxLineBytes} bytes.`);
      const value = parseJson(text);
      if (!isObject(value))
        throw new RejectedPayload(
          'wrong_shape',
          'A line is an object such as {"deviceId": "…", "ts": 1700000000000, "values": {…}}.',
        );
      const { deviceId: named, ...message } = value;
      if (typeof named === 'string') deviceId = named.slice(0, 128);
      const profile = await profileOf(sender, named);
      await intake.readings(profile, readingsOf(message, intake.stamp(profile.deviceId)));
      metrics.ingestedLines.inc({ result: 'accepted' });
      return { line, status: 'accepted' };
    } catch (error) {
      if (!(error instanceof RejectedPayload)) throw error;
      const { reason, message } = error;
      metrics.ingestedLines.inc({ result: 'rejected' });
      rejections.add({
        tenant: sender.tenant,
        deviceId,
        transport: 'http',
        topic: undefined,
        reason,
        message,
        payload: text instanceof RejectedPayload ? '' : text,
      });
      return { line, status: 'rejected', reason, message };
    }
  };

  const profileOf = async (sender: Sender, named: unknown): Promise<DeviceProfile> => {
    if (sender.device) {
      if (named !== undefined && named !== sender.device.deviceId)
        throw new RejectedPayload('unknown_device', 'A device may send for itself only.');
      return sender.device;
    }
    if (typeof named !== 'string') throw new RejectedPayload('wrong_shape', 'The line has no "deviceId".');
    const profile = await devices.find(sender.tenant, named);
    if (!profile)
      throw new RejectedPayload(
        'unknown_device',
        `There is no device "${named.slice(0, 128)}" in this tenant, or it is decommissioned.`,
      );
    return profile;
  };

  app.post('/ingest/v1/telemetry', async (request, reply) => {
    const sender = await senderOf(request, authentication);
    const lines = linesOf(request);
    assertReady(options.busReady);
    const outcomes = await inTime(
      Promise.allSettled(lines.map((text, index) => takeLine(sender, index + 1, text))),
      answerWithinMs,
    );
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure) {
      // Some lines may be durable all the same: sending all of them again does no harm where they carry a time.
      throw failure.reason instanceof FleetgraphError
        ? failure.reason
        : new FleetgraphError('UNAVAILABLE', 'Not every line could be stored. Send all of them again.', {
            cause: failure.reason,
          });
    }
    const results = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const accepted = results.filter(({ status }) => status === 'accepted').length;
    return reply.code(accepted === 0 ? 400 : 200).send({ accepted, rejected: results.length - accepted, results });
  });

  app.get('/ingest/v1/rejected', async (request) => {
    const { tenant, device } = await senderOf(request, authentication);
    const recent = rejections.recent(tenant);
    return { rejected: device ? recent.filter(({ deviceId }) => deviceId === device.deviceId) : recent };
  });

  app.addHook('onSend', async (_request, reply) => {
    if (reply.statusCode === 503) void reply.header('retry-after', '1');
    if (reply.statusCode === 429) void reply.header('retry-after', '5');
  });
}

async function senderOf(
  request: FastifyRequest,
  options: Pick<IngestRoutesOptions, 'verifyToken' | 'directory'> & { readonly throttle: LoginThrottle },
): Promise<Sender> {
  const { authorization } = request.headers;
  const token = bearerToken(authorization);
  if (token !== undefined) {
    const identity = await options.verifyToken(token);
    if (!identity.scopes.has('telemetry:write'))
      throw new FleetgraphError('FORBIDDEN', 'HTTP ingest asks for the scope telemetry:write, which your token lacks.');
    return { tenant: identity.tenant };
  }
  const basic = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization ?? '')?.[1];
  if (basic !== undefined) {
    const [username = '', ...rest] = Buffer.from(basic, 'base64').toString('utf8').split(':');
    const attempt = options.throttle.attempt({ username: username.slice(0, 256), address: addressOf(request) });
    if (!attempt)
      throw new FleetgraphError(
        'RATE_LIMITED',
        'Too many wrong passwords of this device, or from this address. Check the password, and try again in some seconds.',
      );
    const device = await options.directory
      .authenticate({ clientId: username, username, password: rest.join(':') })
      .catch((cause: unknown) => {
        attempt.end(undefined);
        throw new FleetgraphError('UNAVAILABLE', 'The credentials can not be checked now. Send it again.', { cause });
      });
    attempt.end(device !== undefined);
    if (device) return { tenant: device.tenant, device };
  }
  throw new FleetgraphError(
    'UNAUTHENTICATED',
    'Send "Authorization: Bearer <token>" with the scope telemetry:write, or Basic with the user name and password of a device.',
  );
}

/**
 * Where it comes from, proxies on the way included. Who makes proxies up has other addresses to guess from, as it would with
 * many machines; it gains nothing on the limit of the device's name.
 */
function addressOf(request: FastifyRequest): string {
  return `${request.ip} ${String(request.headers['x-forwarded-for'] ?? '')}`.slice(0, 256);
}

/** The lines of the body, each the text of one message. @throws FleetgraphError BAD_USER_INPUT or PAYLOAD_TOO_LARGE. */
function linesOf(request: FastifyRequest): readonly Line[] {
  const body = typeof request.body === 'string' ? request.body : '';
  const lines = /ndjson/.test(request.headers['content-type'] ?? '')
    ? body.split('\n').filter((line) => line.trim() !== '')
    : entriesOf(body);
  if (lines.length === 0)
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The body is empty. Send a JSON object, a JSON array, or NDJSON with the content type application/x-ndjson.',
    );
  if (lines.length > maxLines)
    throw new FleetgraphError(
      'PAYLOAD_TOO_LARGE',
      `The body has ${lines.length} lines; ${maxLines} are allowed. Send it in parts.`,
    );
  return lines;
}

function entriesOf(body: string): Line[] {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The body is not JSON. Send NDJSON with the content type application/x-ndjson if it has a message a line.',
      { cause },
    );
  }
  return (Array.isArray(value) ? value : [value]).map((entry) => {
    try {
      return JSON.stringify(entry);
    } catch {
      // What could be parsed can be written again, unless it exhausts the stack.
      return new RejectedPayload('wrong_shape', 'The line is nested too deep.');
    }
  });
}

/** @throws FleetgraphError UNAVAILABLE. */
function assertReady(ready: () => void): void {
  try {
    ready();
  } catch (cause) {
    throw new FleetgraphError('UNAVAILABLE', 'Nothing can be stored now. Send all of it again.', { cause });
  }
}

/** @throws FleetgraphError UNAVAILABLE when the work has not ended by then. */
async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new FleetgraphError('UNAVAILABLE', 'Not every line was stored in time. Send all of them again.')),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
