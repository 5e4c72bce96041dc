SELECT "table_name", "slice", "state", CAST("attempt" AS VARCHAR), coalesce("manifest", ''), coalesce("digest", ''), coalesce(CAST("updated_at" AS VARCHAR), '') FROM "millrace"."slices" WHERE "function" = ? AND "table_name" IN (?, ?) ORDER BY 1, 2;

DESCRIBE TABLE "shop"."orders";

DESCRIBE TABLE "shop"."orders__resync";

CREATE OR REPLACE TEMPORARY TABLE "millrace_diff" AS SELECT "_extra", "amount", "day", "doc", "id", CAST(sum("millrace_one") AS BIGINT) AS "millrace_n" FROM (SELECT TO_JSON("_extra") AS "_extra", "amount" AS "amount", "day" AS "day", TO_JSON("doc") AS "doc", "id" AS "id", 1 AS "millrace_one" FROM "shop"."orders__resync" UNION ALL SELECT TO_JSON("_extra") AS "_extra", "amount" AS "amount", "day" AS "day", TO_JSON("doc") AS "doc", "id" AS "id", -1 AS "millrace_one" FROM "shop"."orders") AS u GROUP BY "_extra", "amount", "day", "doc", "id" HAVING sum("millrace_one") <> 0;

CREATE OR REPLACE TEMPORARY TABLE "millrace_diff_keys" AS SELECT "id", CASE WHEN min("millrace_n") > 0 THEN 'added' WHEN max("millrace_n") < 0 THEN 'removed' ELSE 'changed' END AS "millrace_kind", CAST(sum(abs("millrace_n")) AS BIGINT) AS "millrace_rows" FROM "millrace_diff" GROUP BY "id";

SELECT "millrace_kind", CAST(count(*) AS BIGINT) FROM "millrace_diff_keys" GROUP BY 1
 UNION ALL SELECT 'live', count(*) FROM "shop"."orders" UNION ALL SELECT 'shadow', count(*) FROM "shop"."orders__resync"
 UNION ALL SELECT 'same', CAST(-coalesce(sum("millrace_n"), 0) AS BIGINT) FROM "millrace_diff" WHERE "millrace_n" > 0;

SELECT "millrace_n", CAST("_extra" AS VARCHAR), CAST("amount" AS VARCHAR), CAST("day" AS VARCHAR), CAST("doc" AS VARCHAR), CAST("id" AS VARCHAR) FROM "millrace_diff";

SELECT CAST("id" AS VARCHAR) FROM "millrace_diff_keys" WHERE "millrace_kind" = 'removed' ORDER BY "id" LIMIT 100;

SELECT CAST(k."id" AS VARCHAR), max(CASE WHEN a."_extra" IS DISTINCT FROM b."_extra" THEN '1' ELSE '0' END || CASE WHEN a."amount" IS DISTINCT FROM b."amount" THEN '1' ELSE '0' END || CASE WHEN a."day" IS DISTINCT FROM b."day" THEN '1' ELSE '0' END || CASE WHEN a."doc" IS DISTINCT FROM b."doc" THEN '1' ELSE '0' END || CASE WHEN a."id" IS DISTINCT FROM b."id" THEN '1' ELSE '0' END) FROM (SELECT * FROM "millrace_diff_keys" WHERE "millrace_kind" = 'changed' ORDER BY "id" LIMIT 100) AS k JOIN "millrace_diff" AS a ON a."millrace_n" > 0 AND a."id" IS NOT DISTINCT FROM k."id" JOIN "millrace_diff" AS b ON b."millrace_n" < 0 AND b."id" IS NOT DISTINCT FROM k."id" GROUP BY k."id" ORDER BY k."id";

SELECT CAST("id" AS VARCHAR) FROM "millrace_diff_keys" WHERE "millrace_kind" = 'added' ORDER BY "id" LIMIT 100;

DROP TABLE IF EXISTS "millrace_diff";

DROP TABLE IF EXISTS "millrace_diff_keys";

DESCRIBE TABLE "shop"."orders__resync";

DESCRIBE TABLE "shop"."orders";

BEGIN;

UPDATE "millrace"."slices" SET "fence" = "fence" + 1 WHERE "function" = ? AND "table_name" IN (?, ?);

SELECT "table_name", "slice", "state", CAST("attempt" AS VARCHAR), coalesce("manifest", ''), coalesce("digest", ''), coalesce(CAST("updated_at" AS VARCHAR), '') FROM "millrace"."slices" WHERE "function" = ? AND "table_name" IN (?, ?) ORDER BY 1, 2;

DELETE FROM "shop"."orders";

INSERT INTO "shop"."orders" ("_extra", "_loaded_at", "_slice", "amount", "day", "doc", "id") SELECT "_extra", "_loaded_at", "_slice", "amount", "day", "doc", "id" FROM "shop"."orders__resync";

UPDATE "millrace"."slices" SET "fence" = "fence" + 1, "lease_until" = NULL, "updated_at" = ? WHERE "function" = ? AND "table_name" = ?;

UPDATE "millrace"."slices" SET "fence" = greatest("slices"."fence", l."newest" + 1), "purpose" = l."asked" FROM (SELECT "slice" AS "twin", max("fence") AS "newest", max("purpose") AS "asked" FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? GROUP BY "slice") AS l WHERE "slices"."function" = ? AND "slices"."table_name" = ? AND "slices"."slice" = l."twin";

DELETE FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? AND "slice" IN (SELECT s."slice" FROM "millrace"."slices" AS s WHERE "function" = ? AND "table_name" = ?);

UPDATE "millrace"."slices" SET "state" = CASE WHEN "state" IN ('extracting', 'staged') THEN 'planned' ELSE "state" END, "lease_until" = NULL, "cursor" = NULL, "vendor_cursor" = NULL, "manifest" = NULL, "digest" = NULL,
 "rows_source" = 0, "rows_staged" = 0, "rows_rejected" = 0, "rows_loaded" = 0, "updated_at" = ? WHERE "function" = ? AND "table_name" = ?;

UPDATE "millrace"."slices" SET "table_name" = ? WHERE "function" = ? AND "table_name" = ?;

DELETE FROM "millrace"."marks" WHERE "function" = ? AND "table_name" = ?;

UPDATE "millrace"."rejects" SET "last_seen" = ?, "state" = 'open' WHERE "function" = ? AND "table_name" = ? AND "state" IN ('open', 'replayed') AND "reject" IN (SELECT s."reject" FROM "millrace"."rejects" AS s WHERE "function" = ? AND "table_name" = ? AND s."state" = 'open');

UPDATE "millrace"."rejects" SET "last_seen" = ?, "state" = 'replayed' WHERE "function" = ? AND "table_name" = ? AND "state" IN ('open', 'replayed') AND "reject" NOT IN (SELECT s."reject" FROM "millrace"."rejects" AS s WHERE "function" = ? AND "table_name" = ? AND s."state" = 'open');

DELETE FROM "millrace"."rejects" WHERE "function" = ? AND "table_name" = ? AND "reject" IN (SELECT l."reject" FROM "millrace"."rejects" AS l WHERE "function" = ? AND "table_name" = ?);

UPDATE "millrace"."rejects" SET "table_name" = ? WHERE "function" = ? AND "table_name" = ?;

DELETE FROM "millrace"."drift" WHERE "function" = ? AND "table_name" = ? AND "field" || ' ' || "kind" IN (SELECT l."field" || ' ' || l."kind" FROM "millrace"."drift" AS l WHERE "function" = ? AND "table_name" = ?);

UPDATE "millrace"."drift" SET "table_name" = ? WHERE "function" = ? AND "table_name" = ?;

UPDATE "millrace"."checks" SET "table_name" = ? WHERE "function" = ? AND "table_name" = ?;

UPDATE "millrace"."runs" SET "table_name" = ? WHERE "function" = ? AND "table_name" = ?;

SELECT DISTINCT "slice" FROM "millrace"."rejects" WHERE "function" = ? AND "table_name" = ? AND "state" = 'open' AND "rule" NOT LIKE 'unique:%';

SELECT "slice", "purpose", "range_from", "range_to", "loaded_at", "vendor_cursor" FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? AND "range_to" IS NOT NULL AND "purpose" <> 'resync' ORDER BY "range_to", "loaded_at";

UPDATE "millrace"."marks" SET "mark" = ?, "cursor" = ?, "updated_at" = ? WHERE "function" = ? AND "table_name" = ?;

DELETE FROM "millrace"."resyncs" WHERE "function" = ? AND "table_name" = ? AND "resync" = ?;

DELETE FROM "millrace"."differences" WHERE "function" = ? AND "table_name" = ? AND "resync" = ?;

INSERT INTO "millrace"."resyncs" ("resync", "function", "table_name", "outcome", "rows_live", "rows_shadow", "added", "removed", "changed", "same", "error", "compared_at") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

INSERT INTO "millrace"."differences" ("resync", "function", "table_name", "kind", "key", "columns") SELECT ?, ?, ?, ?, PARSE_JSON(?), ?;

COMMIT;

DESCRIBE TABLE "shop"."orders__resync";

DROP TABLE IF EXISTS "shop"."orders__resync";

