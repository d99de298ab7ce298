-- CreateEnum
CREATE TYPE "actions"."command_job_status" AS ENUM ('RUNNING', 'COMPLETED', 'CANCELED');

-- DropIndex
DROP INDEX "actions"."commands_status_expires_at_idx";

-- AlterTable
ALTER TABLE "actions"."commands" ADD COLUMN     "answer_by" TIMESTAMPTZ(6),
ADD COLUMN     "attempt" INTEGER NOT NULL DEFAULT 1,
ADD COLUMN     "due_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
ADD COLUMN     "job_id" TEXT,
ADD COLUMN     "pending_progress" JSONB,
ADD COLUMN     "progress" DOUBLE PRECISION,
ADD COLUMN     "progress_at" TIMESTAMPTZ(6),
ADD COLUMN     "progress_message" TEXT,
ADD COLUMN     "retry" JSONB,
ADD COLUMN     "retry_at" TIMESTAMPTZ(6);

-- AlterTable
ALTER TABLE "bridge"."undelivered_commands" ADD COLUMN     "attempt" INTEGER NOT NULL DEFAULT 1;

-- CreateTable
CREATE TABLE "actions"."command_jobs" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "revision" INTEGER NOT NULL,
    "status" "actions"."command_job_status" NOT NULL,
    "selector" JSONB NOT NULL,
    "order" JSONB NOT NULL,
    "devices" INTEGER NOT NULL,
    "made" INTEGER NOT NULL DEFAULT 0,
    "refused" INTEGER NOT NULL DEFAULT 0,
    "cursor" TEXT NOT NULL DEFAULT '',
    "exhausted" BOOLEAN NOT NULL DEFAULT false,
    "settled" BOOLEAN NOT NULL DEFAULT false,
    "next_at" TIMESTAMPTZ(6) NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "updated_at" TIMESTAMPTZ(6) NOT NULL,
    "completed_at" TIMESTAMPTZ(6),
    "actor" TEXT,
    "traceparent" TEXT,
    "correlation_id" TEXT,

    CONSTRAINT "command_jobs_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "command_jobs_settled_next_at_idx" ON "actions"."command_jobs"("settled", "next_at");

-- CreateIndex
CREATE INDEX "command_jobs_tenant_created_at_id_idx" ON "actions"."command_jobs"("tenant", "created_at", "id");

-- CreateIndex
CREATE INDEX "commands_status_due_at_idx" ON "actions"."commands"("status", "due_at");

-- CreateIndex
CREATE INDEX "commands_job_id_status_idx" ON "actions"."commands"("job_id", "status");

-- CreateIndex
CREATE UNIQUE INDEX "commands_job_id_device_id_key" ON "actions"."commands"("job_id", "device_id");

-- Nothing but the expiry falls due for a command from before.
UPDATE "actions"."commands" SET "due_at" = "expires_at" WHERE "completed_at" IS NULL;
