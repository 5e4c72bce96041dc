DESCRIBE TABLE "shop"."orders";

CREATE TABLE IF NOT EXISTS "shop"."orders" ("id" VARCHAR, "amount" NUMBER(38,2), "day" DATE, "doc" VARIANT, "_extra" VARIANT, "_slice" VARCHAR, "_loaded_at" TIMESTAMP_NTZ(6));

CREATE SCHEMA IF NOT EXISTS "shop";

CREATE TABLE IF NOT EXISTS "shop"."orders" ("id" VARCHAR, "amount" NUMBER(38,2), "day" DATE, "doc" VARIANT, "_extra" VARIANT, "_slice" VARCHAR, "_loaded_at" TIMESTAMP_NTZ(6));

COMMENT ON TABLE "shop"."orders" IS 'Orders of the shop.';

COMMENT ON COLUMN "shop"."orders"."id" IS 'The shop''s id.';

COMMENT ON COLUMN "shop"."orders"."_extra" IS 'Fields the vendor sent that are not declared.';

COMMENT ON COLUMN "shop"."orders"."_slice" IS 'Slice that wrote the row last; see millrace.slices.';

COMMENT ON COLUMN "shop"."orders"."_loaded_at" IS 'When that slice was committed, UTC.';

BEGIN;

UPDATE "millrace"."queue" SET "turn" = "turn" + 1;

SELECT "slice" FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ?;

INSERT INTO "millrace"."slices" ("function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "attempt", "planned_at", "updated_at") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

COMMIT;

BEGIN;

UPDATE "millrace"."slices" SET "fence" = "fence" + 1, "attempt" = "attempt" + 1, "state" = 'extracting', "owner" = ?,
 "lease_until" = ?, "claimed_at" = ?, "updated_at" = ?, "error_kind" = NULL, "error" = NULL, "paused_until" = NULL WHERE "function" = ? AND "table_name" = ? AND "slice" = ? AND ("lease_until" IS NULL OR "lease_until" < ? OR ("owner" = ? AND "claimed_at" = ?));

SELECT "function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "owner",
 "lease_until", "attempt", "cursor", "vendor_cursor", "manifest", "digest", "rows_source", "rows_staged", "rows_rejected", "rows_loaded", "bytes",
 "error_kind", "error", "paused_until", "planned_at", "claimed_at", "staged_at", "loaded_at", "updated_at" FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? AND "slice" = ?;

COMMIT;

