-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "orchestrator";

-- CreateTable
CREATE TABLE "actions"."rules" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "enabled" BOOLEAN NOT NULL,
    "severity" TEXT NOT NULL,
    "selector" JSONB NOT NULL,
    "condition" JSONB NOT NULL,
    "actions" JSONB NOT NULL,
    "revision" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "rules_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "actions"."metric_declarations" (
    "tenant" TEXT NOT NULL,
    "type_id" TEXT NOT NULL,
    "metrics" JSONB NOT NULL,

    CONSTRAINT "metric_declarations_pkey" PRIMARY KEY ("tenant","type_id")
);

-- CreateTable
CREATE TABLE "actions"."alerts" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "rule_id" TEXT NOT NULL,
    "rule_name" TEXT NOT NULL,
    "device_id" TEXT NOT NULL,
    "severity" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "open_slot" TEXT,
    "first_at" TIMESTAMPTZ(6) NOT NULL,
    "last_at" TIMESTAMPTZ(6) NOT NULL,
    "count" INTEGER NOT NULL,
    "readings" JSONB NOT NULL,
    "actions" JSONB NOT NULL,
    "acknowledged_at" TIMESTAMPTZ(6),
    "acknowledged_by" TEXT,
    "cleared_at" TIMESTAMPTZ(6),
    "cleared_by" TEXT,
    "clear_cause" TEXT,
    "comments" JSONB NOT NULL,
    "recoveries" JSONB NOT NULL,
    "held_until" TIMESTAMPTZ(6),
    "fact_sequence" INTEGER NOT NULL,
    "revision" INTEGER NOT NULL,

    CONSTRAINT "alerts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "projections"."alerts" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "device_id" TEXT NOT NULL,
    "active" BOOLEAN NOT NULL,
    "document" JSONB NOT NULL,
    "revision" INTEGER NOT NULL,

    CONSTRAINT "alerts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "projections"."rules" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "definition" JSONB NOT NULL,

    CONSTRAINT "rules_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "orchestrator"."rule_clock" (
    "id" INTEGER NOT NULL,
    "change" BIGINT NOT NULL,

    CONSTRAINT "rule_clock_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "orchestrator"."rules" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "definition" JSONB,
    "version" INTEGER NOT NULL,
    "change" BIGINT NOT NULL,

    CONSTRAINT "rules_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "orchestrator"."devices" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "type_id" TEXT NOT NULL,
    "labels" JSONB NOT NULL,
    "active" BOOLEAN NOT NULL,

    CONSTRAINT "devices_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "orchestrator"."watches" (
    "device_id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "clock" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "heard_at" DOUBLE PRECISION,
    "metrics" JSONB NOT NULL DEFAULT '{}',
    "online" BOOLEAN,
    "presence_session" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "presence_at" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "rules" JSONB NOT NULL DEFAULT '{}',
    "due_at" TIMESTAMPTZ(6),
    "revision" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "watches_pkey" PRIMARY KEY ("device_id")
);

-- CreateIndex
CREATE INDEX "rules_tenant_created_at_id_idx" ON "actions"."rules"("tenant", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "alerts_open_slot_key" ON "actions"."alerts"("open_slot");

-- CreateIndex
CREATE INDEX "alerts_tenant_first_at_id_idx" ON "actions"."alerts"("tenant", "first_at", "id");

-- CreateIndex
CREATE INDEX "alerts_tenant_device_id_first_at_id_idx" ON "actions"."alerts"("tenant", "device_id", "first_at", "id");

-- CreateIndex
CREATE INDEX "alerts_rule_id_device_id_fact_sequence_idx" ON "actions"."alerts"("rule_id", "device_id", "fact_sequence");

-- CreateIndex
CREATE INDEX "alerts_held_until_idx" ON "actions"."alerts"("held_until");

-- CreateIndex
CREATE INDEX "alerts_tenant_active_id_idx" ON "projections"."alerts"("tenant", "active", "id");

-- CreateIndex
CREATE INDEX "rules_change_idx" ON "orchestrator"."rules"("change");

-- CreateIndex
CREATE INDEX "devices_tenant_id_idx" ON "orchestrator"."devices"("tenant", "id");

-- CreateIndex
CREATE INDEX "watches_due_at_idx" ON "orchestrator"."watches"("due_at");

-- CreateIndex
CREATE INDEX "watches_tenant_device_id_idx" ON "orchestrator"."watches"("tenant", "device_id");

-- The one row whose lock orders the changes of rules.
INSERT INTO "orchestrator"."rule_clock" ("id", "change") VALUES (1, 0);
