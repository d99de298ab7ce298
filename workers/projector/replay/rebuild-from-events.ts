/**
 * Projections that are made of domain events, folded again from the event store by the functions that make the live ones.
 * Only events that the live one has had are applied, in the order of the store: an event that it has not had yet (the relay is
 * behind, or it is in the dead letters) is asked for again with each page, so that those of one stream never change places. The rest,
 * a few events, is done while the projectors wait at `replayLock`: then both have had the same.
 */
import { changeFrom } from '../../../backbone/changes/change.js';
import { domainEventTypes, type DomainEventType } from '../../../backbone/events/catalogue.js';
import type { Event } from '../../../backbone/events/envelope.js';
import { toEvent, type StoredEventRow } from '../../../backbone/store/stored-event.js';
import type { Sql } from '../../../platform/database/sql.js';
import { appendChanges, type PendingChange } from '../change-log.js';
import { withDevices } from '../events/alert-devices.js';
import { applyToAlerts, applyToRules } from '../events/apply-alerts.js';
import { applyToCommands, applyToRegistry } from '../events/apply-events.js';
import { applyToTwins } from '../events/apply-to-twins.js';
import { replayLock, type ProjectionSchema } from '../projection-schema.js';
import type { Replay, Replayed, ReplayableProjection } from './rebuilding.js';
import { createShadows, switchOver } from './shadow-table.js';

type DomainEvent = Event<DomainEventType>;

interface FoldedProjection {
  readonly table: string;
  readonly key: string;
  /** Prefix of the streams that its events are in; what is behind it is the key. */
  readonly stream: string;
  /** Beginning of the types of its events. */
  readonly types: string;
  readonly apply: (sql: Sql, events: readonly DomainEvent[], schema: ProjectionSchema) => Promise<unknown>;
  /** For what clients follow: its name in the change log, and the column that counts its changes. */
  readonly followed?: { readonly entity: 'command' | 'alert' | 'twin'; readonly version: 'revision' | 'version' };
}

export const foldedProjections: Readonly<
  Record<Exclude<ReplayableProjection, 'rollups' | 'states'>, FoldedProjection>
> = {
  registry: {
    table: 'devices',
    key: 'device_id',
    stream: 'device-',
    types: 'io.fleetgraph.device.',
    apply: applyToRegistry,
  },
  commands: {
    table: 'commands',
    key: 'id',
    stream: 'command-',
    types: 'io.fleetgraph.command.',
    apply: applyToCommands,
    followed: { entity: 'command', version: 'revision' },
  },
  alerts: {
    table: 'alerts',
    key: 'id',
    stream: 'alert-',
    types: 'io.fleetgraph.alert.',
    apply: applyToAlerts,
    followed: { entity: 'alert', version: 'revision' },
  },
  rules: {
    table: 'rules',
    key: 'id',
    stream: 'rule-',
    types: 'io.fleetgraph.rule.',
    apply: applyToRules,
  },
  twins: {
    table: 'device_twins',
    key: 'device_id',
    stream: 'device-',
    types: 'io.fleetgraph.device.',
    apply: applyToTwins,
    followed: { entity: 'twin', version: 'version' },
  },
};

const pageSize = 1_000;
/** Events that the live one has not had which are remembered. If there are more, the projectors are far behind, or stand. */
const maxOutstanding = 10_000;

interface Position {
  readonly transactionId: string;
  readonly position: string;
  /** Ids of events before it that the live one had not had. */
  readonly outstanding: readonly string[];
}

interface Page {
  /** What is to be applied. */
  readonly events: readonly DomainEvent[];
  readonly next: Position;
  readonly isLast: boolean;
}

/** Folds, switches over. */
export async function rebuildFromEvents(replay: Replay, projection: FoldedProjection): Promise<Replayed> {
  const { table } = projection;
  await replay.transaction(async (sql) => {
    await createShadows(sql, [table]);
    if (replay.from === undefined) return;
    await sql.query(
      'CREATE TABLE replay.streams AS SELECT DISTINCT stream FROM events.events WHERE time >= $1 AND type = ANY($2)',
      [replay.from, typesOf(projection)],
    );
    await sql.query('ALTER TABLE replay.streams ADD PRIMARY KEY (stream)');
  });
  let at: Position = { transactionId: '0', position: '0', outstanding: [] };
  let read = 0;
  const step = async (sql: Sql, upTo: 'horizon' | 'end' = 'horizon'): Promise<boolean> => {
    const page = await nextPage(sql, projection, at, { onlySome: replay.from !== undefined, upTo });
    await projection.apply(sql, page.events, 'replay');
    at = page.next;
    read += page.events.length;
    return page.isLast;
  };
  for (let done = false; !done && at.outstanding.length < maxOutstanding;) {
    done = await replay.transaction((sql) => step(sql));
    await replay.progress(read);
  }
  await replay.sql.query(`ANALYZE replay.${table}`);
  const before = at;
  const readBefore = read;
  const mended = await replay.patiently(async (sql) => {
    // Taken anew in each attempt: what was rolled back is not applied.
    [at, read] = [before, readBefore];
    await sql.query('SELECT pg_advisory_xact_lock($1)', [replayLock]);
    while (!(await step(sql, 'end')));
    if (replay.from !== undefined) await keepOthers(sql, projection);
    const changes = await mendedRows(sql, projection);
    await sql.query(`LOCK TABLE projections.${table} IN ACCESS EXCLUSIVE MODE`);
    await switchOver(sql, [table]);
    for (let first = 0; first < changes.length; first += pageSize)
      await appendChanges(sql, changes.slice(first, first + pageSize));
    return changes.length;
  });
  return projection.followed === undefined ? { read } : { read, mended };
}

/**
 * What comes next in the store, with what was outstanding, as of one moment. Up to the horizon, before which nothing can be committed
 * any more; or, while the projectors wait, to the end: what the live one has had is committed, and nothing is added to it.
 */
async function nextPage(
  sql: Sql,
  projection: FoldedProjection,
  at: Position,
  { onlySome, upTo }: { readonly onlySome: boolean; readonly upTo: 'horizon' | 'end' },
): Promise<Page> {
  const columns = `e.transaction_id, e.position, e.tenant, e.id, e.type, e.source, e.subject, e.time, e.data,
            e.actor, e.client_address, e.traceparent, e.correlation_id, e.causation_id`;
  const rows = await sql.query<StoredEventRow & { tx: string; at: string; had: boolean; fresh: boolean }>(
    `SELECT e.*, e.transaction_id::text AS tx, e.position::text AS at,
            EXISTS (SELECT 1 FROM projections.event_log l WHERE l.id = e.id) AS had
     FROM (
       (SELECT ${columns}, true AS fresh FROM events.events e ${onlySome ? 'JOIN replay.streams USING (stream)' : ''}
        WHERE (e.transaction_id, e.position) > ($1::xid8, $2::bigint) AND e.type = ANY($3)
          ${upTo === 'horizon' ? 'AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())' : ''}
        ORDER BY e.transaction_id, e.position LIMIT $4)
       UNION ALL
       (SELECT ${columns}, false AS fresh FROM events.events e WHERE e.id = ANY($5::uuid[]))
     ) e ORDER BY e.transaction_id, e.position`,
    [at.transactionId, at.position, typesOf(projection), pageSize, at.outstanding],
  );
  const fresh = rows.filter((row) => row.fresh);
  const last = fresh.at(-1);
  return {
    events: rows.filter(({ had }) => had).map(toEvent),
    next: {
      transactionId: last?.tx ?? at.transactionId,
      position: last?.at ?? at.position,
      outstanding: rows.filter(({ had }) => !had).map(({ id }) => id),
    },
    isLast: fresh.length < pageSize,
  };
}

function typesOf({ types }: FoldedProjection): readonly string[] {
  return domainEventTypes.filter((type) => type.startsWith(types));
}

/** The rows of streams without an event since `from`, as they are in the live table. */
async function keepOthers(sql: Sql, { table, key, stream }: FoldedProjection): Promise<void> {
  await sql.query(
    `INSERT INTO replay.${table} SELECT l.* FROM projections.${table} l
     WHERE NOT EXISTS (SELECT 1 FROM replay.streams s WHERE s.stream = $1::text || l.${key})`,
    [stream],
  );
}

/** Rows that are otherwise than the live ones, as changes. Versions that clients have seen don't come again with other content. */
async function mendedRows(sql: Sql, { table, key, followed }: FoldedProjection): Promise<readonly PendingChange[]> {
  if (followed === undefined) return [];
  const { entity, version } = followed;
  const rows = await sql.query<{ tenant: string; id: string; version: number; document: unknown; mended: boolean }>(
    `UPDATE replay.${table} n
     SET ${version} = CASE WHEN c.mended THEN greatest(n.${version}, c.version + 1) ELSE c.version END
     FROM (SELECT s.${key} AS key, coalesce(l.${version}, 0) AS version, l.document IS DISTINCT FROM s.document AS mended
           FROM replay.${table} s LEFT JOIN projections.${table} l ON l.${key} = s.${key}
           WHERE l.document IS DISTINCT FROM s.document OR l.${version} > s.${version}) c
     WHERE n.${key} = c.key
     RETURNING n.tenant, n.${key} AS id, n.${version} AS version, n.document, c.mended`,
  );
  const mended = rows
    .filter((row) => row.mended)
    .map(({ tenant, id, document, version: number }) => {
      const {
        seq: _seq,
        at: _at,
        ...change
      } = changeFrom({
        tenant,
        id,
        entity,
        payload: document,
        version: BigInt(number),
        seq: 0n,
        at: new Date().toISOString(),
      });
      return { ...change, traceparent: undefined };
    });
  return withDevices(sql, mended);
}
