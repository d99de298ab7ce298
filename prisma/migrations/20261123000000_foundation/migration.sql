-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "actions";

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "bus";

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "dead_letters";

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "device";

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "events";

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "projections";

-- CreateEnum
CREATE TYPE "device"."device_status" AS ENUM ('ACTIVE', 'DECOMMISSIONED');

-- CreateEnum
CREATE TYPE "actions"."command_status" AS ENUM ('QUEUED', 'SENT', 'DELIVERED', 'SUCCEEDED', 'FAILED', 'REJECTED', 'EXPIRED', 'CANCELED');

-- CreateEnum
CREATE TYPE "dead_letters"."dead_letter_status" AS ENUM ('PENDING', 'REPLAYED', 'DISCARDED');

-- CreateTable
CREATE TABLE "device"."device_types" (
    "tenant" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "metrics" JSONB NOT NULL,
    "decoder" TEXT NOT NULL DEFAULT 'json',
    "revision" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "device_types_pkey" PRIMARY KEY ("tenant","id")
);

-- CreateTable
CREATE TABLE "device"."devices" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "type_id" TEXT NOT NULL,
    "status" "device"."device_status" NOT NULL DEFAULT 'ACTIVE',
    "revision" INTEGER NOT NULL,
    "desired" JSONB NOT NULL DEFAULT '{}',
    "desired_version" INTEGER NOT NULL DEFAULT 0,
    "reported" JSONB NOT NULL DEFAULT '{}',
    "reported_version" INTEGER NOT NULL DEFAULT 0,
    "reported_at" TIMESTAMPTZ(6),
    "online" BOOLEAN NOT NULL DEFAULT false,
    "presence_session" BIGINT NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "devices_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "device"."device_labels" (
    "device_id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "value" TEXT NOT NULL,

    CONSTRAINT "device_labels_pkey" PRIMARY KEY ("device_id","key")
);

-- CreateTable
CREATE TABLE "device"."credentials" (
    "client_id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "device_id" TEXT NOT NULL,
    "username" TEXT NOT NULL,
    "password_hash" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "revoked_at" TIMESTAMPTZ(6),

    CONSTRAINT "credentials_pkey" PRIMARY KEY ("client_id")
);

-- CreateTable
CREATE TABLE "device"."idempotency_keys" (
    "tenant" TEXT NOT NULL,
    "operation" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "request_hash" TEXT NOT NULL,
    "response" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("tenant","operation","key")
);

-- CreateTable
CREATE TABLE "actions"."commands" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "device_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "parameters" JSONB NOT NULL,
    "status" "actions"."command_status" NOT NULL DEFAULT 'QUEUED',
    "revision" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,
    "sent_at" TIMESTAMPTZ(6),
    "delivered_at" TIMESTAMPTZ(6),
    "completed_at" TIMESTAMPTZ(6),
    "result" JSONB,
    "error" TEXT,

    CONSTRAINT "commands_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "actions"."command_targets" (
    "device_id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "active" BOOLEAN NOT NULL,
    "revision" INTEGER NOT NULL,

    CONSTRAINT "command_targets_pkey" PRIMARY KEY ("device_id")
);

-- CreateTable
CREATE TABLE "actions"."idempotency_keys" (
    "tenant" TEXT NOT NULL,
    "operation" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "request_hash" TEXT NOT NULL,
    "response" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("tenant","operation","key")
);

-- CreateTable
CREATE TABLE "events"."events" (
    "position" BIGSERIAL NOT NULL,
    "transaction_id" xid8 NOT NULL DEFAULT pg_current_xact_id(),
    "tenant" TEXT NOT NULL,
    "stream" TEXT NOT NULL,
    "revision" INTEGER NOT NULL,
    "id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "time" TIMESTAMPTZ(6) NOT NULL,
    "data" JSONB NOT NULL,
    "actor" TEXT,
    "traceparent" TEXT,
    "correlation_id" TEXT,
    "causation_id" TEXT,

    CONSTRAINT "events_pkey" PRIMARY KEY ("position")
);

-- CreateTable
CREATE TABLE "events"."relay_cursors" (
    "name" TEXT NOT NULL,
    "transaction_id" xid8 NOT NULL,
    "position" BIGINT NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "relay_cursors_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "bus"."topics" (
    "name" TEXT NOT NULL,
    "partitions" INTEGER NOT NULL,
    "retention_ms" BIGINT NOT NULL,

    CONSTRAINT "topics_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "bus"."partitions" (
    "topic" TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "next_offset" BIGINT NOT NULL DEFAULT 0,
    "low_offset" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "partitions_pkey" PRIMARY KEY ("topic","partition")
);

-- CreateTable
CREATE TABLE "bus"."records" (
    "topic" TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    "key" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "headers" JSON NOT NULL,
    "timestamp" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "records_pkey" PRIMARY KEY ("topic","partition","offset")
);

-- CreateTable
CREATE TABLE "bus"."leases" (
    "group_id" TEXT NOT NULL,
    "topic" TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "owner" TEXT,
    "epoch" BIGINT NOT NULL DEFAULT 0,
    "expires_at" TIMESTAMPTZ(6),
    "committed" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "leases_pkey" PRIMARY KEY ("group_id","topic","partition")
);

-- CreateTable
CREATE TABLE "bus"."members" (
    "group_id" TEXT NOT NULL,
    "member" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "members_pkey" PRIMARY KEY ("group_id","member")
);

-- CreateTable
CREATE TABLE "projections"."devices" (
    "device_id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "type_id" TEXT NOT NULL,
    "labels" JSONB NOT NULL,
    "active" BOOLEAN NOT NULL,
    "revision" INTEGER NOT NULL,

    CONSTRAINT "devices_pkey" PRIMARY KEY ("device_id")
);

-- CreateTable
CREATE TABLE "projections"."device_states" (
    "device_id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "version" BIGINT NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL,
    "metrics" JSONB NOT NULL DEFAULT '{}',
    "online" BOOLEAN NOT NULL DEFAULT false,
    "presence_session" BIGINT NOT NULL DEFAULT 0,
    "last_seen" TIMESTAMPTZ(6),

    CONSTRAINT "device_states_pkey" PRIMARY KEY ("device_id")
);

-- CreateTable
CREATE TABLE "projections"."readings" (
    "device_id" TEXT NOT NULL,
    "metric" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "tenant" TEXT NOT NULL,
    "number" DOUBLE PRECISION,
    "other" JSONB,

    CONSTRAINT "readings_pkey" PRIMARY KEY ("device_id","metric","at")
) PARTITION BY RANGE ("at");

-- CreateTable
CREATE TABLE "projections"."rollups_1m" (
    "device_id" TEXT NOT NULL,
    "metric" TEXT NOT NULL,
    "bucket" TIMESTAMPTZ(6) NOT NULL,
    "tenant" TEXT NOT NULL,
    "count" INTEGER NOT NULL,
    "sum" DOUBLE PRECISION,
    "min" DOUBLE PRECISION,
    "max" DOUBLE PRECISION,
    "last_at" TIMESTAMPTZ(6) NOT NULL,
    "last_number" DOUBLE PRECISION,
    "last_other" JSONB,

    CONSTRAINT "rollups_1m_pkey" PRIMARY KEY ("device_id","metric","bucket")
);

-- CreateTable
CREATE TABLE "projections"."rollups_1h" (
    "device_id" TEXT NOT NULL,
    "metric" TEXT NOT NULL,
    "bucket" TIMESTAMPTZ(6) NOT NULL,
    "tenant" TEXT NOT NULL,
    "count" INTEGER NOT NULL,
    "sum" DOUBLE PRECISION,
    "min" DOUBLE PRECISION,
    "max" DOUBLE PRECISION,
    "last_at" TIMESTAMPTZ(6) NOT NULL,
    "last_number" DOUBLE PRECISION,
    "last_other" JSONB,

    CONSTRAINT "rollups_1h_pkey" PRIMARY KEY ("device_id","metric","bucket")
);

-- CreateTable
CREATE TABLE "projections"."commands" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "device_id" TEXT NOT NULL,
    "document" JSONB NOT NULL,
    "revision" INTEGER NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "commands_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "projections"."event_log" (
    "tenant" TEXT NOT NULL,
    "seq" BIGINT NOT NULL,
    "id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "time" TIMESTAMPTZ(6) NOT NULL,
    "data" JSONB NOT NULL,
    "actor" TEXT,
    "correlation_id" TEXT,
    "causation_id" TEXT,

    CONSTRAINT "event_log_pkey" PRIMARY KEY ("tenant","seq")
);

-- CreateTable
CREATE TABLE "projections"."change_clocks" (
    "tenant" TEXT NOT NULL,
    "seq" BIGINT NOT NULL,

    CONSTRAINT "change_clocks_pkey" PRIMARY KEY ("tenant")
);

-- CreateTable
CREATE TABLE "projections"."changes" (
    "tenant" TEXT NOT NULL,
    "seq" BIGINT NOT NULL,
    "entity" TEXT NOT NULL,
    "entity_id" TEXT NOT NULL,
    "version" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "payload" JSON NOT NULL,

    CONSTRAINT "changes_pkey" PRIMARY KEY ("tenant","seq")
);

-- CreateTable
CREATE TABLE "dead_letters"."dead_letters" (
    "id" UUID NOT NULL,
    "consumer" TEXT NOT NULL,
    "topic" TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    "key" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "headers" JSONB NOT NULL,
    "tenant" TEXT,
    "type" TEXT,
    "cause" TEXT NOT NULL,
    "stack" TEXT,
    "attempts" INTEGER NOT NULL,
    "failed_at" TIMESTAMPTZ(6) NOT NULL,
    "status" "dead_letters"."dead_letter_status" NOT NULL DEFAULT 'PENDING',

    CONSTRAINT "dead_letters_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "devices_tenant_name_id_idx" ON "device"."devices"("tenant", "name", "id");

-- CreateIndex
CREATE INDEX "devices_tenant_created_at_id_idx" ON "device"."devices"("tenant", "created_at", "id");

-- CreateIndex
CREATE INDEX "devices_tenant_type_id_idx" ON "device"."devices"("tenant", "type_id");

-- CreateIndex
CREATE INDEX "device_labels_tenant_key_value_device_id_idx" ON "device"."device_labels"("tenant", "key", "value", "device_id");

-- CreateIndex
CREATE UNIQUE INDEX "credentials_username_key" ON "device"."credentials"("username");

-- CreateIndex
CREATE INDEX "credentials_device_id_idx" ON "device"."credentials"("device_id");

-- CreateIndex
CREATE INDEX "idempotency_keys_created_at_idx" ON "device"."idempotency_keys"("created_at");

-- CreateIndex
CREATE INDEX "commands_tenant_device_id_created_at_id_idx" ON "actions"."commands"("tenant", "device_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "commands_tenant_created_at_id_idx" ON "actions"."commands"("tenant", "created_at", "id");

-- CreateIndex
CREATE INDEX "commands_status_expires_at_idx" ON "actions"."commands"("status", "expires_at");

-- CreateIndex
CREATE INDEX "idempotency_keys_created_at_idx" ON "actions"."idempotency_keys"("created_at");

-- CreateIndex
CREATE UNIQUE INDEX "events_id_key" ON "events"."events"("id");

-- CreateIndex
CREATE INDEX "events_transaction_id_position_idx" ON "events"."events"("transaction_id", "position");

-- CreateIndex
CREATE UNIQUE INDEX "events_tenant_stream_revision_key" ON "events"."events"("tenant", "stream", "revision");

-- CreateIndex
CREATE INDEX "leases_owner_idx" ON "bus"."leases"("owner");

-- CreateIndex
CREATE INDEX "devices_tenant_device_id_idx" ON "projections"."devices"("tenant", "device_id");

-- CreateIndex
CREATE INDEX "device_states_tenant_device_id_idx" ON "projections"."device_states"("tenant", "device_id");

-- CreateIndex
CREATE INDEX "rollups_1m_bucket_idx" ON "projections"."rollups_1m"("bucket");

-- CreateIndex
CREATE INDEX "rollups_1h_bucket_idx" ON "projections"."rollups_1h"("bucket");

-- CreateIndex
CREATE INDEX "commands_tenant_device_id_idx" ON "projections"."commands"("tenant", "device_id");

-- CreateIndex
CREATE UNIQUE INDEX "event_log_id_key" ON "projections"."event_log"("id");

-- CreateIndex
CREATE INDEX "event_log_tenant_type_seq_idx" ON "projections"."event_log"("tenant", "type", "seq");

-- CreateIndex
CREATE INDEX "event_log_tenant_subject_seq_idx" ON "projections"."event_log"("tenant", "subject", "seq");

-- CreateIndex
CREATE INDEX "changes_tenant_entity_id_seq_idx" ON "projections"."changes"("tenant", "entity_id", "seq");

-- CreateIndex
CREATE INDEX "changes_at_idx" ON "projections"."changes"("at");

-- CreateIndex
CREATE INDEX "dead_letters_consumer_status_failed_at_idx" ON "dead_letters"."dead_letters"("consumer", "status", "failed_at");

-- CreateIndex
CREATE INDEX "dead_letters_tenant_failed_at_idx" ON "dead_letters"."dead_letters"("tenant", "failed_at");

-- CreateIndex
CREATE UNIQUE INDEX "dead_letters_consumer_topic_partition_offset_key" ON "dead_letters"."dead_letters"("consumer", "topic", "partition", "offset");

-- AddForeignKey
ALTER TABLE "device"."devices" ADD CONSTRAINT "devices_tenant_type_id_fkey" FOREIGN KEY ("tenant", "type_id") REFERENCES "device"."device_types"("tenant", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "device"."device_labels" ADD CONSTRAINT "device_labels_device_id_fkey" FOREIGN KEY ("device_id") REFERENCES "device"."devices"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "device"."credentials" ADD CONSTRAINT "credentials_device_id_fkey" FOREIGN KEY ("device_id") REFERENCES "device"."devices"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What Prisma's schema language cannot say ------------------------------------------------------------------------

-- The event store is append-only, whoever connects.
CREATE FUNCTION "events"."refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events.events is append-only' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER "append_only" BEFORE UPDATE OR DELETE ON "events"."events"
  FOR EACH ROW EXECUTE FUNCTION "events"."refuse_change"();

CREATE TRIGGER "append_only_truncate" BEFORE TRUNCATE ON "events"."events"
  FOR EACH STATEMENT EXECUTE FUNCTION "events"."refuse_change"();

-- Rows that are updated with every batch: leave room for HOT updates, and vacuum often.
ALTER TABLE "bus"."partitions" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE "bus"."leases" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE "bus"."members" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE "projections"."change_clocks" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE "projections"."device_states" SET (fillfactor = 70);
ALTER TABLE "projections"."rollups_1m" SET (fillfactor = 80);
ALTER TABLE "projections"."rollups_1h" SET (fillfactor = 80);
