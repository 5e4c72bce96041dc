-- One alert that no cloud can raise as well: a table whose mark stands still. It asks
-- the ledger once a day. Run it after the first load, when the ledger is there.
-- &{emails}: addresses of verified users of this account, as in 'a@example.com','b@example.com'.

USE ROLE ACCOUNTADMIN;

CREATE NOTIFICATION INTEGRATION IF NOT EXISTS MILLRACE_EMAIL
  TYPE = EMAIL
  ENABLED = TRUE
  ALLOWED_RECIPIENTS = (&{emails});

GRANT USAGE ON INTEGRATION MILLRACE_EMAIL TO ROLE SYSADMIN;
GRANT EXECUTE ALERT ON ACCOUNT TO ROLE SYSADMIN;

USE ROLE SYSADMIN;

-- "updated_at" moves with every commit that a table gets. A mark does not move for
-- tables without windows, so the time of the last commit is what is looked at.
-- What to do: infra/runbooks/table-late.md
CREATE ALERT IF NOT EXISTS RAW.EXT.TABLE_LATE
  WAREHOUSE = LOADING
  SCHEDULE = 'USING CRON 0 12 * * * UTC' -- after the nightly loads
  IF (EXISTS (
    SELECT "function", "table_name", MAX("loaded_at") AS "last"
    FROM RAW."millrace"."slices"
    GROUP BY "function", "table_name"
    HAVING "last" < DATEADD(HOUR, -&{hours}, SYSDATE()) -- SYSDATE is UTC, as the ledger is
  ))
  THEN CALL SYSTEM$SEND_EMAIL('MILLRACE_EMAIL', ARRAY_TO_STRING(ARRAY_CONSTRUCT(&{emails}), ','),
    'Millrace: a table is late',
    'A table of RAW had no commit for &{hours} hours. Which: SELECT "function", "table_name", MAX("loaded_at") FROM RAW."millrace"."slices" GROUP BY 1, 2 ORDER BY 3. What to do: infra/runbooks/table-late.md');

ALTER ALERT RAW.EXT.TABLE_LATE RESUME; -- alerts are made suspended
