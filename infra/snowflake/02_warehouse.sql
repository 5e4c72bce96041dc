-- One small warehouse for all connectors: loads that come at the same time share
-- the seconds that it runs. Billed by the second, a minute at least per resume.

USE ROLE SYSADMIN;

CREATE WAREHOUSE IF NOT EXISTS LOADING
  WAREHOUSE_SIZE = XSMALL
  AUTO_SUSPEND = 60                        -- seconds; less would bill the same minute again
  AUTO_RESUME = TRUE
  INITIALLY_SUSPENDED = TRUE
  STATEMENT_TIMEOUT_IN_SECONDS = 1800      -- the functions set less themselves; this is for everybody else
  STATEMENT_QUEUED_TIMEOUT_IN_SECONDS = 600
  COMMENT = 'Millrace loads';

USE ROLE ACCOUNTADMIN; -- monitors belong to the account

-- What to do when it stops the warehouse: infra/runbooks/warehouse-quota.md
-- CREATE OR REPLACE would forget this month's use; change it with ALTER.
CREATE RESOURCE MONITOR IF NOT EXISTS LOADING
  WITH CREDIT_QUOTA = &{credits}           -- a month; see infra/COST.md for what to expect
       FREQUENCY = MONTHLY
       START_TIMESTAMP = IMMEDIATELY
  TRIGGERS ON 75 PERCENT DO NOTIFY
           ON 100 PERCENT DO NOTIFY
           ON 120 PERCENT DO SUSPEND;      -- what runs is finished; loads wait and lose nothing

ALTER WAREHOUSE LOADING SET RESOURCE_MONITOR = LOADING;
