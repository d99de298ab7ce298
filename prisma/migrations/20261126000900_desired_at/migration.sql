-- AlterTable
ALTER TABLE "device"."devices" ADD COLUMN     "desired_at" TIMESTAMPTZ(6);
