-- Two roles. LOADER is the functions', READER is for people and tools that query.
-- Both are SYSADMIN's to manage, and neither can grant anything.

USE ROLE USERADMIN;

CREATE ROLE IF NOT EXISTS LOADER COMMENT = 'Millrace functions: load into RAW';
CREATE ROLE IF NOT EXISTS READER COMMENT = 'Reads what Millrace loaded';

USE ROLE SECURITYADMIN;

GRANT ROLE LOADER TO ROLE SYSADMIN;
GRANT ROLE READER TO ROLE SYSADMIN;

-- LOADER makes schemas and owns what it makes, and so needs no other right to
-- tables. It sees no other database.
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
