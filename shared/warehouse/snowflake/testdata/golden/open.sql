USE SCHEMA "millrace";

CREATE SCHEMA IF NOT EXISTS "millrace";

USE SCHEMA "millrace";

DESCRIBE TABLE "millrace"."queue";

CREATE TABLE IF NOT EXISTS "millrace"."queue" ("turn" NUMBER(38,0));

INSERT INTO "millrace"."queue" ("turn") SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM "millrace"."queue");

DESCRIBE TABLE "millrace"."slices";

CREATE TABLE IF NOT EXISTS "millrace"."slices" ("function" VARCHAR, "table_name" VARCHAR, "slice" VARCHAR, "purpose" VARCHAR, "source" VARCHAR, "range_from" TIMESTAMP_NTZ(6), "range_to" TIMESTAMP_NTZ(6), "state" VARCHAR, "fence" NUMBER(38,0), "owner" VARCHAR, "lease_until" TIMESTAMP_NTZ(6), "attempt" NUMBER(38,0), "cursor" VARCHAR, "vendor_cursor" VARCHAR, "manifest" VARCHAR, "digest" VARCHAR, "rows_source" NUMBER(38,0), "rows_staged" NUMBER(38,0), "rows_rejected" NUMBER(38,0), "rows_loaded" NUMBER(38,0), "bytes" NUMBER(38,0), "error_kind" VARCHAR, "error" VARCHAR, "paused_until" TIMESTAMP_NTZ(6), "planned_at" TIMESTAMP_NTZ(6), "claimed_at" TIMESTAMP_NTZ(6), "staged_at" TIMESTAMP_NTZ(6), "loaded_at" TIMESTAMP_NTZ(6), "updated_at" TIMESTAMP_NTZ(6));

DESCRIBE TABLE "millrace"."marks";

CREATE TABLE IF NOT EXISTS "millrace"."marks" ("function" VARCHAR, "table_name" VARCHAR, "mark" TIMESTAMP_NTZ(6), "cursor" VARCHAR, "updated_at" TIMESTAMP_NTZ(6));

DESCRIBE TABLE "millrace"."runs";

CREATE TABLE IF NOT EXISTS "millrace"."runs" ("run" VARCHAR, "function" VARCHAR, "step" VARCHAR, "table_name" VARCHAR, "slice" VARCHAR, "fence" NUMBER(38,0), "outcome" VARCHAR, "rows" NUMBER(38,0), "bytes" NUMBER(38,0), "pages" NUMBER(38,0), "requests" NUMBER(38,0), "retries" NUMBER(38,0), "quota_left" NUMBER(38,0), "started_at" TIMESTAMP_NTZ(6), "took_ms" NUMBER(38,0), "error_kind" VARCHAR, "error" VARCHAR);

DESCRIBE TABLE "millrace"."checks";

CREATE TABLE IF NOT EXISTS "millrace"."checks" ("function" VARCHAR, "table_name" VARCHAR, "slice" VARCHAR, "fence" NUMBER(38,0), "rule" VARCHAR, "observed" VARCHAR, "expected" VARCHAR, "verdict" VARCHAR, "checked_at" TIMESTAMP_NTZ(6), "value" VARCHAR);

DESCRIBE TABLE "millrace"."rejects";

CREATE TABLE IF NOT EXISTS "millrace"."rejects" ("reject" VARCHAR, "function" VARCHAR, "table_name" VARCHAR, "slice" VARCHAR, "row" VARIANT, "reason" VARCHAR, "rule" VARCHAR, "first_seen" TIMESTAMP_NTZ(6), "last_seen" TIMESTAMP_NTZ(6), "attempts" NUMBER(38,0), "state" VARCHAR);

DESCRIBE TABLE "millrace"."drift";

CREATE TABLE IF NOT EXISTS "millrace"."drift" ("function" VARCHAR, "table_name" VARCHAR, "field" VARCHAR, "kind" VARCHAR, "slice" VARCHAR, "first_seen" TIMESTAMP_NTZ(6), "last_seen" TIMESTAMP_NTZ(6));

DESCRIBE TABLE "millrace"."inbox";

CREATE TABLE IF NOT EXISTS "millrace"."inbox" ("event" VARCHAR, "consumer" VARCHAR, "seen_at" TIMESTAMP_NTZ(6));

DESCRIBE TABLE "millrace"."resyncs";

CREATE TABLE IF NOT EXISTS "millrace"."resyncs" ("resync" VARCHAR, "function" VARCHAR, "table_name" VARCHAR, "outcome" VARCHAR, "rows_live" NUMBER(38,0), "rows_shadow" NUMBER(38,0), "added" NUMBER(38,0), "removed" NUMBER(38,0), "changed" NUMBER(38,0), "same" NUMBER(38,0), "error" VARCHAR, "compared_at" TIMESTAMP_NTZ(6));

DESCRIBE TABLE "millrace"."differences";

CREATE TABLE IF NOT EXISTS "millrace"."differences" ("resync" VARCHAR, "function" VARCHAR, "table_name" VARCHAR, "kind" VARCHAR, "key" VARIANT, "columns" VARCHAR);

DESCRIBE TABLE "millrace"."sync_plans";

CREATE TABLE IF NOT EXISTS "millrace"."sync_plans" ("plan" VARCHAR, "sync" VARCHAR, "object" VARCHAR, "operation" VARCHAR, "undoes" VARCHAR, "hash" VARCHAR, "job" VARCHAR, "state" VARCHAR, "creates" NUMBER(38,0), "updates" NUMBER(38,0), "deletes" NUMBER(38,0), "blankings" NUMBER(38,0), "zeroings" NUMBER(38,0), "unchanged" NUMBER(38,0), "rejected" NUMBER(38,0), "kept" NUMBER(38,0), "blocked" VARCHAR, "planned_at" TIMESTAMP_NTZ(6), "approved_by" VARCHAR, "approved_at" TIMESTAMP_NTZ(6), "approved_hash" VARCHAR, "fence" NUMBER(38,0), "owner" VARCHAR, "lease_until" TIMESTAMP_NTZ(6), "sent" NUMBER(38,0), "failed" NUMBER(38,0), "unprocessed" NUMBER(38,0), "applied_at" TIMESTAMP_NTZ(6), "paused_until" TIMESTAMP_NTZ(6), "next" VARCHAR, "error" VARCHAR, "updated_at" TIMESTAMP_NTZ(6));

DESCRIBE TABLE "millrace"."sync_rows";

CREATE TABLE IF NOT EXISTS "millrace"."sync_rows" ("plan" VARCHAR, "n" NUMBER(38,0), "key" VARCHAR, "kind" VARCHAR, "field" VARCHAR, "before" VARCHAR, "after" VARCHAR, "part" NUMBER(38,0), "state" VARCHAR, "destination_id" VARCHAR, "code" VARCHAR, "error" VARCHAR, "accepted" VARCHAR);

DESCRIBE TABLE "millrace"."sync_jobs";

CREATE TABLE IF NOT EXISTS "millrace"."sync_jobs" ("plan" VARCHAR, "part" NUMBER(38,0), "attempt" NUMBER(38,0), "way" VARCHAR, "job" VARCHAR, "state" VARCHAR, "rows" NUMBER(38,0), "sent" NUMBER(38,0), "failed" NUMBER(38,0), "unprocessed" NUMBER(38,0), "error" VARCHAR, "created_at" TIMESTAMP_NTZ(6), "updated_at" TIMESTAMP_NTZ(6));

DESCRIBE TABLE "millrace"."sync_sent";

CREATE TABLE IF NOT EXISTS "millrace"."sync_sent" ("sync" VARCHAR, "object" VARCHAR, "key" VARCHAR, "destination_id" VARCHAR, "accepted" VARCHAR, "plan" VARCHAR, "sent_at" TIMESTAMP_NTZ(6));

