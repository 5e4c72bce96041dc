-- Two roles. LOADER is the functions', READER is for people and tools that query.
-- Both are SYSADMIN's to manage, and neither can grant anything.

USE ROLE USERADMIN;

CREATE ROLE IF NOT EXISTS LOADER COMMENT = 'Millrace functions: load into RAW';
CREATE ROLE IF NOT EXISTS READER COMMENT = 'Reads what Millrace loaded';

USE ROLE SECURITYADMIN;

GRANT ROLE LOADER TO ROLE SYSADMIN;
GRANT ROLE READER TO ROLE SYSADMIN;

-- LOADER makes schemas and owns what it makes, and so needs no other right to
-- tables: accountscore makes "analytics", and reads what the connectors' users made,
-- because all are LOADER; salesforcesync reads both, and writes plans to "millrace". A
-- schema that people made for what a sync reads is granted below. LOADER sees no other
-- database.
GRANT USAGE, CREATE SCHEMA ON DATABASE RAW TO ROLE LOADER;
GRANT USAGE ON WAREHOUSE LOADING TO ROLE LOADER;

-- READER reads everything in RAW, the ledger too, now and in future. It has no
-- warehouse: grant it the one that its people use.
GRANT USAGE ON DATABASE RAW TO ROLE READER;
GRANT USAGE ON FUTURE SCHEMAS IN DATABASE RAW TO ROLE READER;
GRANT SELECT ON FUTURE TABLES IN DATABASE RAW TO ROLE READER;
GRANT SELECT ON FUTURE VIEWS IN DATABASE RAW TO ROLE READER;

-- For what is there already, where this file comes after the first load.
GRANT USAGE ON ALL SCHEMAS IN DATABASE RAW TO ROLE READER;
GRANT SELECT ON ALL TABLES IN DATABASE RAW TO ROLE READER;

-- A sync may read what your own tools compute in this database, such as a schema that
-- dbt fills; from now on and what is there:
--   GRANT USAGE ON SCHEMA RAW."marts" TO ROLE LOADER;
--   GRANT SELECT ON ALL TABLES IN SCHEMA RAW."marts" TO ROLE LOADER;
--   GRANT SELECT ON FUTURE TABLES IN SCHEMA RAW."marts" TO ROLE LOADER;
