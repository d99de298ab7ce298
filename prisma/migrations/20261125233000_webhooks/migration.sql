-- CreateEnum
CREATE TYPE "actions"."webhook_status" AS ENUM ('ACTIVE', 'PAUSED');

-- CreateEnum
CREATE TYPE "actions"."delivery_status" AS ENUM ('PENDING', 'SUCCEEDED', 'FAILED');

-- CreateTable
CREATE TABLE "actions"."webhooks" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "description" TEXT,
    "event_types" TEXT[],
    "rule_ids" TEXT[],
    "severities" TEXT[],
    "status" "actions"."webhook_status" NOT NULL DEFAULT 'ACTIVE',
    "secret" TEXT NOT NULL,
    "previous_secret" TEXT,
    "previous_secret_expires_at" TIMESTAMPTZ(6),
    "revision" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "webhooks_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "actions"."webhook_endpoints" (
    "webhook_id" TEXT NOT NULL,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "openings" INTEGER NOT NULL DEFAULT 0,
    "retry_at" TIMESTAMPTZ(6),
    "trusted" BOOLEAN NOT NULL DEFAULT false,
    "served_at" TIMESTAMPTZ(6),

    CONSTRAINT "webhook_endpoints_pkey" PRIMARY KEY ("webhook_id")
);

-- CreateTable
CREATE TABLE "actions"."webhook_deliveries" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "webhook_id" TEXT NOT NULL,
    "event_id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "payload" TEXT NOT NULL,
    "status" "actions"."delivery_status" NOT NULL DEFAULT 'PENDING',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "tries_left" INTEGER NOT NULL,
    "due_at" TIMESTAMPTZ(6) NOT NULL,
    "lease" UUID,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "last_attempt_at" TIMESTAMPTZ(6),
    "response_status" INTEGER,
    "latency_ms" INTEGER,
    "error" TEXT,
    "completed_at" TIMESTAMPTZ(6),

    CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "webhooks_tenant_created_at_id_idx" ON "actions"."webhooks"("tenant", "created_at", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_webhook_id_status_due_at_idx" ON "actions"."webhook_deliveries"("webhook_id", "status", "due_at");

-- CreateIndex
CREATE INDEX "webhook_deliveries_webhook_id_lease_idx" ON "actions"."webhook_deliveries"("webhook_id", "lease");

-- CreateIndex
CREATE INDEX "webhook_deliveries_webhook_id_created_at_id_idx" ON "actions"."webhook_deliveries"("webhook_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_tenant_created_at_id_idx" ON "actions"."webhook_deliveries"("tenant", "created_at", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_status_expires_at_idx" ON "actions"."webhook_deliveries"("status", "expires_at");

-- CreateIndex
CREATE INDEX "webhook_deliveries_completed_at_idx" ON "actions"."webhook_deliveries"("completed_at");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_deliveries_webhook_id_event_id_key" ON "actions"."webhook_deliveries"("webhook_id", "event_id");

-- AddForeignKey
ALTER TABLE "actions"."webhook_endpoints" ADD CONSTRAINT "webhook_endpoints_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "actions"."webhooks"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "actions"."webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "actions"."webhooks"("id") ON DELETE CASCADE ON UPDATE CASCADE;
