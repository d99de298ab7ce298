-- AlterTable
ALTER TABLE "events"."events" ADD COLUMN     "client_address" TEXT;

-- AlterTable
ALTER TABLE "projections"."event_log" ADD COLUMN     "client_address" TEXT;

-- CreateIndex
CREATE INDEX "event_log_tenant_actor_seq_idx" ON "projections"."event_log"("tenant", "actor", "seq");

-- CreateIndex
CREATE INDEX "event_log_tenant_correlation_id_seq_idx" ON "projections"."event_log"("tenant", "correlation_id", "seq");
