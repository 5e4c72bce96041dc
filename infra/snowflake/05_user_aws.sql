-- One user per function, so that the query history says who did what. It logs in
-- with the role that AWS gives the function: there is no key to keep or to rotate.
-- Run this file once per function that is deployed, load, accountscore and
-- salesforcesync included:
--   &{function} in capitals, &{role_arn} from the output roles of infra/aws.
-- The warehouse of infra/aws is then
--   snowflake:MILLRACE_{FUNCTION}@ACCOUNT/RAW?warehouse=LOADING&role=LOADER&stage=RAW.EXT.LANDING&authenticator=WORKLOAD_IDENTITY&workloadIdentityProvider=AWS
-- Where your account does not have workload identity, use 05_user_key.sql.

USE ROLE USERADMIN;

CREATE USER IF NOT EXISTS MILLRACE_&{function}
  TYPE = SERVICE
  WORKLOAD_IDENTITY = (TYPE = AWS ARN = '&{role_arn}')
  DEFAULT_ROLE = LOADER
  DEFAULT_WAREHOUSE = LOADING
  COMMENT = 'Millrace function on AWS';

USE ROLE SECURITYADMIN;

GRANT ROLE LOADER TO USER MILLRACE_&{function};
