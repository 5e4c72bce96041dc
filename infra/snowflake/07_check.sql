-- What an administrator looks at afterwards. It changes nothing.

USE ROLE SYSADMIN;

SHOW GRANTS TO ROLE LOADER;               -- USAGE and CREATE SCHEMA on RAW, USAGE on LOADING, EXT and LANDING
SHOW FUTURE GRANTS IN DATABASE RAW;       -- USAGE and SELECT to READER
SHOW GRANTS OF ROLE LOADER;               -- SYSADMIN and the functions' users, nobody else
SHOW WAREHOUSES LIKE 'LOADING';           -- X-Small, auto_suspend 60, resource_monitor LOADING

-- Snowflake reaches the bucket: no error, and after the first run one row per object.
LIST @RAW.EXT.LANDING;
