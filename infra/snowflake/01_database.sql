-- The database that everything is loaded into. The functions make the schemas
-- "millrace" (ledger, marks, checks, rejects, plans), one per vendor, and "analytics"
-- (what models compute, such as accountscore), themselves; their
-- names are lower case and quoted, as are tables and columns.

USE ROLE SYSADMIN;

CREATE DATABASE IF NOT EXISTS RAW
  DATA_RETENTION_TIME_IN_DAYS = 7  -- how far back a mistake can be read; 1 is the most on Standard Edition
  COMMENT = 'What Millrace loads from vendors';

-- The stage has a schema of its own, so that the right to it is a grant of its own.
CREATE SCHEMA IF NOT EXISTS RAW.EXT
  COMMENT = 'Stages over the buckets that functions write parts to';

-- Nobody needs PUBLIC, where every role may create things.
DROP SCHEMA IF EXISTS RAW.PUBLIC;
