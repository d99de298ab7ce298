-- CreateTable
CREATE TABLE "projections"."device_twins" (
    "device_id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "document" JSONB NOT NULL,
    "version" INTEGER NOT NULL,

    CONSTRAINT "device_twins_pkey" PRIMARY KEY ("device_id")
);

-- What was set and reported before it was kept: from the event store, where the events come from. Events that the projector
-- has yet to apply are not newer than this, and change nothing.
INSERT INTO "projections"."device_twins" ("device_id", "tenant", "document", "version")
SELECT coalesce(d."subject", r."subject"), coalesce(d."tenant", r."tenant"), jsonb_build_object(
    'desired', coalesce(d."data"->'desired', '{}'), 'desiredVersion', coalesce(d."data"->'version', '0'),
    'desiredAt', to_char(d."time" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'reported', coalesce(r."data"->'reported', '{}'), 'reportedVersion', coalesce(r."data"->'version', '0'),
    'reportedAt', to_char(r."time" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 1
FROM (SELECT DISTINCT ON ("tenant", "stream") * FROM "events"."events"
      WHERE "type" = 'io.fleetgraph.device.desired-state-set.v1' ORDER BY "tenant", "stream", "revision" DESC) d
FULL JOIN (SELECT DISTINCT ON ("tenant", "stream") * FROM "events"."events"
      WHERE "type" = 'io.fleetgraph.device.reported-state-changed.v1' ORDER BY "tenant", "stream", "revision" DESC) r
  ON r."tenant" = d."tenant" AND r."subject" = d."subject";
