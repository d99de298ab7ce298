/**
 * The event envelope: CloudEvents 1.0 (https://github.com/cloudevents/spec) with the extensions `tenant`, `traceparent`,
 * `correlationid`, `causationid`, `actor` and `clientaddress`; on the bus in the binary mode of the CloudEvents Kafka protocol binding
 * (attributes in `ce_*` headers, data as the value, key = subject).
 * Invariant: `decode(encode(e))` equals `e`; a type that is not in the catalogue passes in neither direction.
 */
import { randomUUID } from 'node:crypto';
import { FleetgraphError } from '../../platform/errors.js';
import type { BusRecord, OutgoingRecord } from '../bus/event-bus.js';
import { catalogue, dataschemaOf, isEventType, type EventData, type EventType } from './catalogue.js';

interface EnvelopeOf<T extends EventType> {
  readonly id: string;
  /** Who says it, e.g. `/device`, `/bridge`. */
  readonly source: string;
  readonly type: T;
  /** Id of the aggregate or device that it is about; key on the bus. */
  readonly subject: string;
  /** RFC 3339. */
  readonly time: string;
  readonly dataschema: string;
  readonly data: EventData<T>;
  readonly tenant: string;
  /** `sub` of the token that caused it. */
  readonly actor?: string;
  /** Where that came from, as far as it is known. */
  readonly clientaddress?: string;
  readonly traceparent?: string;
  readonly correlationid?: string;
  readonly causationid?: string;
}

/** An event; narrow it by `type`. */
export type Event<T extends EventType = EventType> = { [K in T]: EnvelopeOf<K> }[T];

/** What the maker of an event says; the rest is filled in. */
export interface NewEvent<T extends EventType = EventType> {
  readonly source: string;
  readonly type: T;
  readonly subject: string;
  readonly tenant: string;
  readonly data: EventData<T>;
  readonly id?: string;
  readonly time?: string;
  readonly actor?: string | undefined;
  readonly clientaddress?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly correlationid?: string | undefined;
  readonly causationid?: string | undefined;
}

/** The record is not an event of the catalogue: poison, not worth a retry. */
export class EventDecodingError extends Error {
  readonly code = 'EVENT_UNDECODABLE';
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'EventDecodingError';
  }
}

/**
 * Makes an event, with a new id and the time of now where none are given.
 * @throws FleetgraphError INTERNAL_SERVER_ERROR if the data is not what the catalogue says: a defect of the caller.
 */
export function makeEvent<T extends EventType>(event: NewEvent<T>): Event<T> {
  const checked = catalogue[event.type].safeParse(event.data);
  if (!checked.success) {
    throw new FleetgraphError(
      'INTERNAL_SERVER_ERROR',
      `An event ${event.type} was made with data that its schema refuses.`,
      { cause: checked.error },
    );
  }
  const { id, time, actor, clientaddress, traceparent, correlationid, causationid, ...rest } = event;
  return {
    ...rest,
    id: id ?? randomUUID(),
    time: time ?? new Date().toISOString(),
    dataschema: dataschemaOf(event.type),
    ...(actor === undefined ? {} : { actor }),
    ...(clientaddress === undefined ? {} : { clientaddress }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(correlationid === undefined ? {} : { correlationid }),
    ...(causationid === undefined ? {} : { causationid }),
  };
}

const optionalAttributes = ['actor', 'clientaddress', 'traceparent', 'correlationid', 'causationid'] as const;

/** The event as a record of the bus, in binary content mode. */
export function encode(event: Event): OutgoingRecord {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    ce_specversion: '1.0',
    ce_id: event.id,
    ce_source: event.source,
    ce_type: event.type,
    ce_subject: event.subject,
    ce_time: event.time,
    ce_dataschema: event.dataschema,
    ce_tenant: event.tenant,
  };
  for (const name of optionalAttributes) {
    const value = event[name];
    if (value !== undefined) headers[`ce_${name}`] = value;
  }
  return { key: event.subject, value: JSON.stringify(event.data), headers };
}

/** Type of the event in a record, without decoding it: for consumers that skip most. */
export function typeOf(record: BusRecord): string | undefined {
  return record.headers['ce_type'];
}

/**
 * The event in a record.
 * @throws EventDecodingError when a required attribute is missing, the type unknown, or the data not what the catalogue says.
 */
export function decode(record: Pick<BusRecord, 'headers' | 'value'>): Event {
  const { headers } = record;
  const attribute = (name: string): string => {
    const value = headers[`ce_${name}`];
    if (value === undefined || value === '')
      throw new EventDecodingError(`The record has no CloudEvents attribute "${name}".`);
    return value;
  };
  if (attribute('specversion') !== '1.0')
    throw new EventDecodingError(`CloudEvents version ${attribute('specversion')} is not supported.`);
  const type = attribute('type');
  if (!isEventType(type)) throw new EventDecodingError(`The event type ${type} is not in the catalogue.`);
  let value: unknown;
  try {
    value = JSON.parse(record.value);
  } catch (cause) {
    throw new EventDecodingError(`The data of ${type} is not JSON.`, { cause });
  }
  const data = catalogue[type].safeParse(value);
  if (!data.success)
    throw new EventDecodingError(`The data of ${type} does not fit its schema: ${data.error.message}`, {
      cause: data.error,
    });
  return {
    id: attribute('id'),
    source: attribute('source'),
    type,
    subject: attribute('subject'),
    time: attribute('time'),
    dataschema: attribute('dataschema'),
    tenant: attribute('tenant'),
    data: data.data,
    ...Object.fromEntries(
      optionalAttributes.flatMap((name) =>
        headers[`ce_${name}`] === undefined ? [] : [[name, headers[`ce_${name}`]]],
      ),
    ),
  } as unknown as Event;
}
