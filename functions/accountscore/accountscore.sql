-- Scores of accounts, 0 to 100. Runs on DuckDB and on Snowflake: names are quoted,
-- and nothing here looks at a clock.
WITH
-- What an account is worth: all its contract lines. Zuora's columns are text.
"contracts" AS (
  SELECT "cust_num" AS "account_key",
         max("cstmr_nm") AS "name",
         coalesce(sum(TRY_CAST("ext_sll_prc" AS DECIMAL(38,2))), 0) AS "revenue"
  FROM "zuora_revenue"."bi3_rc_lns"
  WHERE "cust_num" IS NOT NULL
  GROUP BY "cust_num"
),
-- Who learns there: users who have not left, by the customer number of their client.
"learners" AS (
  SELECT c."sku" AS "account_key", lower(u."email") AS "email"
  FROM "thought_industries"."users" AS u
  JOIN "thought_industries"."clients" AS c ON c."id" = u."client_id"
  WHERE NOT coalesce(u."disabled", FALSE) AND c."sku" IS NOT NULL AND u."email" IS NOT NULL
),
-- Who signed in lately: within 30 days before the newest sign-in that is loaded.
"active" AS (
  SELECT DISTINCT lower(l."user") AS "email"
  FROM "thought_industries"."logins" AS l
  WHERE l."timestamp" > (SELECT max("timestamp") FROM "thought_industries"."logins") - INTERVAL '30 days'
),
"completions" AS (
  SELECT lower(d."user") AS "email", count(*) AS "n"
  FROM "thought_industries"."course_completions" AS d
  GROUP BY lower(d."user")
),
"learning" AS (
  SELECT p."account_key", count(*) AS "learners", count(a."email") AS "active", coalesce(sum(d."n"), 0) AS "completions"
  FROM "learners" AS p
  LEFT JOIN "active" AS a ON a."email" = p."email"
  LEFT JOIN "completions" AS d ON d."email" = p."email"
  GROUP BY p."account_key"
),
"points" AS (
  SELECT k."account_key", k."name", k."revenue",
         coalesce(g."learners", 0) AS "learners", coalesce(g."active", 0) AS "active", coalesce(g."completions", 0) AS "completions",
         -- 40 points: a rank and not an amount, so that one giant does not make all others small.
         round(40 * percent_rank() OVER (ORDER BY k."revenue"), 2) AS "revenue_points",
         -- 30 points: a tool that people open is a tool that people renew.
         round(coalesce(30.0 * g."active" / nullif(g."learners", 0), 0), 2) AS "active_points",
         -- 30 points: courses a head, as a rank again, because nobody knows how many are many.
         round(30 * percent_rank() OVER (ORDER BY coalesce(1.0 * g."completions" / nullif(g."learners", 0), 0)), 2) AS "learning_points"
  FROM "contracts" AS k
  LEFT JOIN "learning" AS g ON g."account_key" = k."account_key"
),
"scored" AS (
  SELECT p.*,
         -- Whatever an account pays: where nobody signs in there is nothing to build on.
         CASE WHEN p."active" = 0 THEN 0
              ELSE CAST(p."revenue_points" AS DECIMAL(5,2)) + CAST(p."active_points" AS DECIMAL(5,2)) + CAST(p."learning_points" AS DECIMAL(5,2)) END AS "score"
  FROM "points" AS p
)
SELECT "account_key", "name", "score",
       CASE WHEN "score" >= 70 THEN 'gold' WHEN "score" >= 40 THEN 'silver' ELSE 'bronze' END AS "tier",
       "revenue_points", "active_points", "learning_points", "revenue", "learners", "active", "completions"
FROM "scored"
