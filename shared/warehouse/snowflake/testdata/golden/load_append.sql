CREATE OR REPLACE TEMPORARY TABLE "millrace_staged" ("id" VARCHAR, "amount" NUMBER(38,2), "day" DATE, "doc" VARIANT, "_extra" VARIANT, "_seq" NUMBER(38,0));

CREATE TEMPORARY STAGE IF NOT EXISTS "millrace"."millrace_parts";

PUT 'file:///scratch/p-000.ndjson.zst' @"millrace"."millrace_parts"/k3j9x2ab/000000/ AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = ZSTD OVERWRITE = TRUE;

PUT 'file:///scratch/p-001.ndjson.zst' @"millrace"."millrace_parts"/k3j9x2ab/000001/ AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = ZSTD OVERWRITE = TRUE;

COPY INTO "millrace_staged" ("id", "amount", "day", "doc", "_extra", "_seq") FROM (SELECT $1:"id"::VARCHAR, $1:"amount"::VARCHAR::NUMBER(38,2), $1:"day"::VARCHAR::DATE, PARSE_JSON($1:"doc"::VARCHAR), PARSE_JSON($1:"_extra"::VARCHAR), $1:"_seq"::VARCHAR::NUMBER(38,0) FROM @"millrace"."millrace_parts"/k3j9x2ab/) FILES = ('000000/p-000.ndjson.zst', '000001/p-001.ndjson.zst') FILE_FORMAT = (TYPE = JSON COMPRESSION = ZSTD NULL_IF = ()) ON_ERROR = ABORT_STATEMENT FORCE = TRUE;

REMOVE @"millrace"."millrace_parts"/k3j9x2ab/;

CREATE OR REPLACE TEMPORARY TABLE "millrace_rejected" ("row" VARIANT, "reason" VARCHAR, "rule" VARCHAR, "state" VARCHAR);

SELECT count(*) FROM "millrace_staged";

SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM "millrace_staged" GROUP BY "id") AS g WHERE n > 1;

CREATE OR REPLACE TEMPORARY TABLE "millrace_seen" AS SELECT md5("rule" || "text") AS "reject", any_value("row") AS "row", min("reason") AS "reason", "rule", min("state") AS "state"
 FROM (SELECT "row", coalesce(TO_JSON("row"), '') AS "text", "reason", coalesce("rule", '') AS "rule", coalesce("state", 'open') AS "state" FROM "millrace_rejected") AS r GROUP BY "rule", "text";

BEGIN;

UPDATE "millrace"."slices" SET "fence" = "fence" WHERE "function" = ? AND "table_name" = ? AND "slice" = ? AND "fence" = ?;

SELECT "function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "owner",
 "lease_until", "attempt", "cursor", "vendor_cursor", "manifest", "digest", "rows_source", "rows_staged", "rows_rejected", "rows_loaded", "bytes",
 "error_kind", "error", "paused_until", "planned_at", "claimed_at", "staged_at", "loaded_at", "updated_at" FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? AND "slice" = ?;

DELETE FROM "shop"."orders" WHERE "_slice" = ?;

INSERT INTO "shop"."orders" ("id", "amount", "day", "doc", "_extra", "_slice", "_loaded_at") SELECT s."id", s."amount", s."day", s."doc", s."_extra", ?, CAST('2026-01-02 03:04:05.6789' AS TIMESTAMP_NTZ(6)) FROM "millrace_staged" AS s;

SELECT count(*) FROM "millrace_staged";

UPDATE "millrace"."rejects" SET "state" = 'replayed', "last_seen" = ? WHERE "function" = ? AND "table_name" = ? AND "slice" = ? AND "state" = 'open' AND "reject" NOT IN (SELECT "reject" FROM "millrace_seen");

UPDATE "millrace"."rejects" SET "last_seen" = ?, "attempts" = "attempts" + 1, "state" = CASE WHEN "state" = 'replayed' THEN 'open' ELSE "state" END WHERE "function" = ? AND "table_name" = ? AND "slice" = ? AND "reject" IN (SELECT "reject" FROM "millrace_seen");

INSERT INTO "millrace"."rejects" ("reject", "function", "table_name", "slice", "row", "reason", "rule", "first_seen", "last_seen", "attempts", "state")
 SELECT n."reject", ?, ?, ?, n."row", n."reason", n."rule", CAST('2026-01-02 03:04:05.6789' AS TIMESTAMP_NTZ(6)), CAST('2026-01-02 03:04:05.6789' AS TIMESTAMP_NTZ(6)), 1, n."state" FROM "millrace_seen" AS n WHERE n."reject" NOT IN (SELECT "reject" FROM "millrace"."rejects" WHERE "function" = ? AND "table_name" = ? AND "slice" = ?);

INSERT INTO "millrace"."checks" ("function", "table_name", "slice", "fence", "rule", "observed", "expected", "verdict", "checked_at", "value") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

UPDATE "millrace"."slices" SET "state" = ?, "lease_until" = NULL, "cursor" = NULL, "manifest" = ?, "digest" = COALESCE(?, "digest"), "vendor_cursor" = COALESCE(?, "vendor_cursor"),
 "rows_source" = ?, "rows_staged" = ?, "rows_rejected" = ?, "rows_loaded" = ?, "bytes" = ?, "error_kind" = ?, "error" = ?, "paused_until" = NULL,
 "staged_at" = COALESCE("staged_at", ?), "loaded_at" = COALESCE(?, "loaded_at"), "updated_at" = ? WHERE "function" = ? AND "table_name" = ? AND "slice" = ? AND "fence" = ?;

SELECT "function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "owner",
 "lease_until", "attempt", "cursor", "vendor_cursor", "manifest", "digest", "rows_source", "rows_staged", "rows_rejected", "rows_loaded", "bytes",
 "error_kind", "error", "paused_until", "planned_at", "claimed_at", "staged_at", "loaded_at", "updated_at" FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? AND "slice" = ?;

SELECT DISTINCT "slice" FROM "millrace"."rejects" WHERE "function" = ? AND "table_name" = ? AND "state" = 'open' AND "rule" NOT LIKE 'unique:%';

SELECT "slice", "purpose", "range_from", "range_to", "loaded_at", "vendor_cursor" FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? AND "range_to" IS NOT NULL AND "purpose" <> 'resync' ORDER BY "range_to", "loaded_at";

UPDATE "millrace"."marks" SET "mark" = ?, "cursor" = ?, "updated_at" = ? WHERE "function" = ? AND "table_name" = ?;

INSERT INTO "millrace"."marks" ("function", "table_name", "mark", "cursor", "updated_at") VALUES (?, ?, ?, ?, ?);

COMMIT;

DROP TABLE IF EXISTS "millrace_staged";

DROP TABLE IF EXISTS "millrace_rejected";

DROP TABLE IF EXISTS "millrace_seen";

