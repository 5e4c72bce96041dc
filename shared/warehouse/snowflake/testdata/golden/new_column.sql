DESCRIBE TABLE "shop"."orders";

ALTER TABLE "shop"."orders" ADD COLUMN IF NOT EXISTS "note" VARCHAR;

COMMENT ON COLUMN "shop"."orders"."note" IS 'It''s new.';

