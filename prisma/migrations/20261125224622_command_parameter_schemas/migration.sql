-- AlterTable
ALTER TABLE "actions"."command_targets" ADD COLUMN     "described_at" TIMESTAMPTZ(6) NOT NULL DEFAULT '1970-01-01 00:00:00 +00:00',
ADD COLUMN     "labels" JSONB NOT NULL DEFAULT '{}',
ADD COLUMN     "type_id" TEXT NOT NULL DEFAULT 'generic';

-- AlterTable
ALTER TABLE "device"."device_types" ADD COLUMN     "commands" JSONB NOT NULL DEFAULT '[]';

-- CreateTable
CREATE TABLE "actions"."command_target_types" (
    "tenant" TEXT NOT NULL,
    "type_id" TEXT NOT NULL,
    "commands" JSONB NOT NULL,
    "defined_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "command_target_types_pkey" PRIMARY KEY ("tenant","type_id")
);

-- CreateIndex
CREATE INDEX "command_targets_tenant_device_id_idx" ON "actions"."command_targets"("tenant", "device_id");

-- What was heard before it was kept: from the event store, which is where the events come from.
INSERT INTO "actions"."command_target_types" ("tenant", "type_id", "commands", "defined_at")
SELECT DISTINCT ON ("tenant", "stream") "tenant", "subject", coalesce("data"->'commands', '[]'), "time"
FROM "events"."events" WHERE "type" = 'io.fleetgraph.device-type.defined.v1'
ORDER BY "tenant", "stream", "revision" DESC;

UPDATE "actions"."command_targets" t
SET "type_id" = e."data"->>'typeId', "labels" = e."data"->'labels', "described_at" = e."time"
FROM (
  SELECT DISTINCT ON ("tenant", "stream") "tenant", "subject", "data", "time"
  FROM "events"."events" WHERE "type" IN ('io.fleetgraph.device.registered.v1', 'io.fleetgraph.device.updated.v1')
  ORDER BY "tenant", "stream", "revision" DESC
) e
WHERE t."device_id" = e."subject" AND t."tenant" = e."tenant";
