-- AlterEnum
ALTER TYPE "dead_letters"."dead_letter_status" ADD VALUE 'REPLAYING';

-- AlterTable
ALTER TABLE "dead_letters"."dead_letters" ADD COLUMN     "lease" UUID,
ADD COLUMN     "leased_until" TIMESTAMPTZ(6),
ADD COLUMN     "settled_at" TIMESTAMPTZ(6);
