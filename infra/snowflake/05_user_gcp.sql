-- One user per function, so that the query history says who did what. It logs in
-- with the identity that Google gives the function: there is no key to keep or to
-- rotate. Run this file once per function that is deployed, load, accountscore and
-- salesforcesync included:
--   &{function} in capitals, &{subject} from the output accounts of infra/gcp
--   (unique_id: the number, not the address).
-- The warehouse of infra/gcp is then
--   snowflake:MILLRACE_{FUNCTION}@ACCOUNT/RAW?warehouse=LOADING&role=LOADER&stage=RAW.EXT.LANDING&authenticator=WORKLOAD_IDENTITY&workloadIdentityProvider=GCP
-- Where your account does not have workload identity, use 05_user_key.sql.

USE ROLE USERADMIN;

CREATE USER IF NOT EXISTS MILLRACE_&{function}
  TYPE = SERVICE
  WORKLOAD_IDENTITY = (TYPE = GCP SUBJECT = '&{subject}')
  DEFAULT_ROLE = LOADER
  DEFAULT_WAREHOUSE = LOADING
  COMMENT = 'Millrace function on Google Cloud';

USE ROLE SECURITYADMIN;

GRANT ROLE LOADER TO USER MILLRACE_&{function};
