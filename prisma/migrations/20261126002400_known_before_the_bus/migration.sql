-- Copies that consumers of "fleetgraph.events" keep for themselves know what the bus has told since they are there. What was said longer
-- ago than the bus keeps its records comes from here. What a copy knows already is as new, or newer, and stays.

WITH "described" AS (
    SELECT DISTINCT ON ("tenant", "stream") * FROM "events"."events"
    WHERE "type" IN ('io.fleetgraph.device.registered.v1', 'io.fleetgraph.device.updated.v1')
    ORDER BY "tenant", "stream", "revision" DESC
), "gone" AS (
    SELECT "tenant", "stream" FROM "events"."events" WHERE "type" = 'io.fleetgraph.device.decommissioned.v1'
), "targets" AS (
    INSERT INTO "actions"."command_targets" AS t ("device_id", "tenant", "active", "revision", "type_id", "labels", "described_at")
    SELECT d."subject", d."tenant", g."stream" IS NULL, CASE WHEN g."stream" IS NULL THEN 1 ELSE 2 END,
           d."data"->>'typeId', coalesce(d."data"->'labels', '{}'), d."time"
    FROM "described" d LEFT JOIN "gone" g ON g."tenant" = d."tenant" AND g."stream" = d."stream"
    ON CONFLICT ("device_id") DO NOTHING
)
INSERT INTO "orchestrator"."devices" ("id", "tenant", "type_id", "labels", "active")
SELECT d."subject", d."tenant", d."data"->>'typeId', coalesce(d."data"->'labels', '{}'), g."stream" IS NULL
FROM "described" d LEFT JOIN "gone" g ON g."tenant" = d."tenant" AND g."stream" = d."stream"
ON CONFLICT ("id") DO NOTHING;

WITH "defined" AS (
    SELECT DISTINCT ON ("tenant", "stream") * FROM "events"."events"
    WHERE "type" = 'io.fleetgraph.device-type.defined.v1'
    ORDER BY "tenant", "stream", "revision" DESC
), "types" AS (
    INSERT INTO "actions"."command_target_types" ("tenant", "type_id", "commands", "defined_at")
    SELECT "tenant", "data"->>'typeId', coalesce("data"->'commands', '[]'), "time" FROM "defined"
    ON CONFLICT ("tenant", "type_id") DO NOTHING
)
INSERT INTO "actions"."metric_declarations" ("tenant", "type_id", "metrics")
SELECT "tenant", "data"->>'typeId', (
    SELECT coalesce(jsonb_agg(jsonb_build_object('name', m->'name', 'kind', m->'kind')), '[]')
    FROM jsonb_array_elements("data"->'metrics') AS m)
FROM "defined"
ON CONFLICT ("tenant", "type_id") DO NOTHING;

-- Each has a number of its own: orchestrators read what lies behind the last number that they have.
WITH "written" AS (
    SELECT DISTINCT ON ("tenant", "stream") * FROM "events"."events"
    WHERE "type" IN ('io.fleetgraph.rule.created.v1', 'io.fleetgraph.rule.updated.v1', 'io.fleetgraph.rule.deleted.v1')
    ORDER BY "tenant", "stream", "revision" DESC
), "missing" AS (
    SELECT w.*, row_number() OVER (ORDER BY w."position") AS "number" FROM "written" w
    WHERE NOT EXISTS (SELECT 1 FROM "orchestrator"."rules" r WHERE r."id" = w."data"->>'ruleId')
), "clock" AS (
    UPDATE "orchestrator"."rule_clock" SET "change" = "change" + (SELECT count(*) FROM "missing") WHERE "id" = 1
    RETURNING "change" - (SELECT count(*) FROM "missing") AS "before"
)
INSERT INTO "orchestrator"."rules" ("id", "tenant", "definition", "version", "change")
SELECT m."data"->>'ruleId', m."tenant", CASE WHEN m."type" <> 'io.fleetgraph.rule.deleted.v1' THEN m."data" END,
       (m."data"->>'version')::int, c."before" + m."number"
FROM "missing" m CROSS JOIN "clock" c;
