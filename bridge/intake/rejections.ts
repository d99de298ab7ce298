/**
 * Refused messages: counted by reason, logged with a sample, the newest kept to be looked at. The log keeps one line a minute of each
 * reason (platform/observability/repeated-lines.ts): a device gone mad must not fill the disk.
 */
import { Counter, type Registry } from 'prom-client';
import type { Logger } from '../../platform/observability/logger.js';
import type { RejectionReason } from '../decoders/decoder.js';

export interface Rejection {
  readonly at: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly transport: 'mqtt' | 'http';
  readonly topic: string | undefined;
  readonly reason: RejectionReason;
  readonly message: string;
  /** The beginning of the payload, printable. */
  readonly sample: string;
}

export interface Rejections {
  add(rejection: Omit<Rejection, 'at' | 'sample'> & { readonly payload: Buffer | string }): void;
  /** The newest of a tenant, newest first. */
  recent(tenant: string): readonly Rejection[];
}

const kept = 1_000;
/** Characters, or bytes, of a payload or a topic. */
const keptLength = 256;

export function createRejections(options: { log: Logger; metrics: Registry }): Rejections {
  const counter = new Counter({
    name: 'fleetgraph_bridge_rejected_messages_total',
    help: 'Messages of devices that were refused.',
    labelNames: ['reason', 'transport'],
    registers: [options.metrics],
  });
  const ring: Rejection[] = [];
  return {
    add({ payload, ...rest }) {
      const rejection: Rejection = {
        ...rest,
        deviceId: beginningOf(rest.deviceId),
        topic: rest.topic === undefined ? undefined : beginningOf(rest.topic),
        message: beginningOf(rest.message, 1_024),
        at: new Date().toISOString(),
        sample: sampleOf(payload),
      };
      counter.inc({ reason: rest.reason, transport: rest.transport });
      ring.push(rejection);
      if (ring.length > kept) ring.shift();
      options.log.warn(rejection, 'message refused');
    },
    recent: (tenant) => ring.filter((rejection) => rejection.tenant === tenant).reverse(),
  };
}

function sampleOf(payload: Buffer | string): string {
  const text = typeof payload === 'string' ? beginningOf(payload) : payload.subarray(0, keptLength).toString('utf8');
  // Control characters and what isn't UTF-8 would spoil the log.
  return text.replaceAll(/[\p{Cc}\p{Co}\p{Cn}\ufffd]/gu, '·');
}

/** A copy: a mere slice would keep the whole text, such as the body of a request, in memory for as long as it is kept itself. */
function beginningOf(text: string, length = keptLength): string {
  return Buffer.from(text.slice(0, length)).toString('utf8');
}
