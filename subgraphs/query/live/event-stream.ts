/** The subscription `events`: the event log as it grows. */
import type { LoggedEvent } from '../../../backbone/changes/change.js';
import { readEventTypes } from '../../../backbone/events/event-type-input.js';
import { readFilterId } from '../../../platform/graphql/filter-id.js';
import { readClocks } from './change-log.js';
import { createBoundedChanges } from './pending-changes.js';
import { createStream, type LiveOptions, type Stream } from './stream.js';

/** Most events that wait for a slow client. */
const maxWaiting = 1_000;

/**
 * Events of the tenant, of the types and about the subject that are asked for. There is no snapshot: it begins with the next.
 * @throws FleetgraphError BAD_USER_INPUT for a type or a subject that no event has.
 */
export function eventStream(
  live: LiveOptions,
  tenant: string,
  args: { readonly types?: readonly string[] | null; readonly subject?: string | null; readonly since?: string | null },
): Stream<{ readonly event: LoggedEvent }> {
  const types = args.types ? new Set(readEventTypes(args.types, 'types')) : undefined;
  const subject = readFilterId(args.subject, 'subject');
  return createStream<'event', { readonly event: LoggedEvent }>(live, {
    name: 'events',
    tenant,
    since: args.since,
    entity: 'event',
    pending: () => createBoundedChanges(maxWaiting),
    isState: false,
    tooOld: 'error',
    matches: ({ payload }) =>
      (types?.has(payload.type) ?? true) && (subject === undefined || payload.subject === subject),
    payloadOf: ({ payload }) => ({ event: payload }),
    // It has no payloads; what it tells is where the stream begins.
    async snapshot() {
      return { payloads: [], seq: (await readClocks(live.sql, [tenant])).get(tenant) ?? 0n };
    },
  });
}
