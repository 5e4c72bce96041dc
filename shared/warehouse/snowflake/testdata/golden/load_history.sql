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

CREATE OR REPLACE TEMPORARY TABLE "millrace_versions" ("id" VARCHAR, "amount" NUMBER(38,2), "day" DATE, "doc" VARIANT, "_extra" VARIANT, "_valid_from" TIMESTAMP_NTZ(6), "_valid_to" TIMESTAMP_NTZ(6), "_seen_at" TIMESTAMP_NTZ(6), "_slice" VARCHAR, "_loaded_at" TIMESTAMP_NTZ(6));

BEGIN;

UPDATE "millrace"."slices" SET "fence" = "fence" WHERE "function" = ? AND "table_name" = ? AND "slice" = ? AND "fence" = ?;

SELECT "function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "owner",
 "lease_until", "attempt", "cursor", "vendor_cursor", "manifest", "digest", "rows_source", "rows_staged", "rows_rejected", "rows_loaded", "bytes",
 "error_kind", "error", "paused_until", "planned_at", "claimed_at", "staged_at", "loaded_at", "updated_at" FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? AND "slice" = ?;

INSERT INTO "millrace_versions" ("id", "amount", "day", "doc", "_extra", "_valid_from", "_valid_to", "_seen_at", "_slice", "_loaded_at") SELECT t.* FROM (SELECT "id", "amount", "day", "doc", "_extra", "_valid_from", "_valid_to", "_seen_at", "_slice", "_loaded_at" FROM "shop"."orders" WHERE ("_valid_to" IS NULL OR "_valid_to" >= CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6)))) AS t JOIN (SELECT "id" FROM "millrace_staged" UNION SELECT "id" FROM "shop"."orders" WHERE "_slice" = ? AND "_valid_from" = CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6))) AS k ON t."id" = k."id";

DELETE FROM "shop"."orders" WHERE ("_valid_to" IS NULL OR "_valid_to" >= CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6))) AND EXISTS (SELECT 1 FROM "millrace_versions" AS v WHERE "shop"."orders"."id" = v."id");

INSERT INTO "shop"."orders" ("id", "amount", "day", "doc", "_extra", "_valid_from", "_valid_to", "_seen_at", "_slice", "_loaded_at") SELECT "id", "amount", "day", "doc", "_extra", "_valid_from", lead("_valid_from") OVER (PARTITION BY "id" ORDER BY "_valid_from"), "millrace_seen", "_slice", "_loaded_at" FROM (SELECT *, max("_seen_at") OVER (PARTITION BY "id", "millrace_run") AS "millrace_seen" FROM (SELECT *, sum("millrace_new") OVER (PARTITION BY "id" ORDER BY "_valid_from") AS "millrace_run" FROM (SELECT *, CASE WHEN lag("_valid_from") OVER (PARTITION BY "id" ORDER BY "_valid_from") IS NULL OR "id" IS DISTINCT FROM lag("id") OVER (PARTITION BY "id" ORDER BY "_valid_from") OR "amount" IS DISTINCT FROM lag("amount") OVER (PARTITION BY "id" ORDER BY "_valid_from") OR "day" IS DISTINCT FROM lag("day") OVER (PARTITION BY "id" ORDER BY "_valid_from") OR "doc" IS DISTINCT FROM lag("doc") OVER (PARTITION BY "id" ORDER BY "_valid_from") OR "_extra" IS DISTINCT FROM lag("_extra") OVER (PARTITION BY "id" ORDER BY "_valid_from") THEN 1 ELSE 0 END AS "millrace_new" FROM (SELECT "id", "amount", "day", "doc", "_extra", "_valid_from", "_valid_to", CASE WHEN "_seen_at" < CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6)) THEN "_seen_at" ELSE "_valid_from" END AS "_seen_at", "_slice", "_loaded_at" FROM "millrace_versions" WHERE "_valid_from" < CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6)) UNION ALL SELECT "id", "amount", "day", "doc", "_extra", CASE WHEN "_valid_from" > CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6)) THEN "_valid_from" ELSE "_seen_at" END AS "_valid_from", "_valid_to", "_seen_at", "_slice", "_loaded_at" FROM "millrace_versions" WHERE "_seen_at" > CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6)) UNION ALL SELECT s."id", s."amount", s."day", s."doc", s."_extra", CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6)), CAST(NULL AS TIMESTAMP_NTZ(6)), CAST('2026-01-02 00:00:00' AS TIMESTAMP_NTZ(6)), ?, CAST('2026-01-02 03:04:05.6789' AS TIMESTAMP_NTZ(6)) FROM "millrace_staged" AS s) AS a) AS b) AS c) AS d WHERE "millrace_new" = 1;

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

DROP TABLE IF EXISTS "millrace_versions";

