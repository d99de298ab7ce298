-- Run this after pg_restore of a dump into another server, before any role starts:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f deploy/postgres/after-logical-restore.sql
--
-- Why: the relay publishes in the order of transaction ids, and a dump brings the ids of the server that it was made on. In
-- a server that has counted less far, new events would lie before the relay's cursor and never be published. After this,
-- what was published comes first, then what was not, then everything new (a server's first own id is 3). Backups of the
-- whole server (snapshots, pg_basebackup, point-in-time recovery) keep the count and don't need this.
BEGIN;
LOCK TABLE events.events, events.relay_cursors IN ACCESS EXCLUSIVE MODE;
ALTER TABLE events.events DISABLE TRIGGER append_only;

UPDATE events.events
SET transaction_id = CASE
  WHEN (transaction_id, position) <= (
    coalesce((SELECT transaction_id FROM events.relay_cursors WHERE name = 'events'), '0'::xid8),
    coalesce((SELECT position FROM events.relay_cursors WHERE name = 'events'), 0)) THEN '1'::xid8
  ELSE '2'::xid8
END;

UPDATE events.relay_cursors
SET transaction_id = '1'::xid8,
    position = coalesce((SELECT max(position) FROM events.events WHERE transaction_id = '1'::xid8), 0)
WHERE name = 'events';

ALTER TABLE events.events ENABLE TRIGGER append_only;
COMMIT;
