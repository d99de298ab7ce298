-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "bridge";

-- CreateTable
CREATE TABLE "bridge"."undelivered_commands" (
    "command_id" TEXT NOT NULL,
    "position" BIGSERIAL NOT NULL,
    "device_id" TEXT NOT NULL,
    "headers" JSONB NOT NULL,
    "value" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "undelivered_commands_pkey" PRIMARY KEY ("command_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "undelivered_commands_position_key" ON "bridge"."undelivered_commands"("position");
