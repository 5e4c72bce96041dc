-- The stage over a bucket of Amazon's. Run this file or 04_stage_gcs.sql; both, where
-- functions run on both clouds (then give the second stage another name).
-- &{bucket} and &{role_arn} are the outputs stage (without s3://) and snowflake_role
-- of infra/aws.

USE ROLE ACCOUNTADMIN;

CREATE STORAGE INTEGRATION IF NOT EXISTS MILLRACE_S3
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'S3'
  ENABLED = TRUE
  STORAGE_AWS_ROLE_ARN = '&{role_arn}'
  STORAGE_ALLOWED_LOCATIONS = ('s3://&{bucket}/');

-- Its properties STORAGE_AWS_IAM_USER_ARN and STORAGE_AWS_EXTERNAL_ID say who asks.
-- Put them into snowflake_reader of infra/aws and apply. CREATE OR REPLACE would make
-- a new external id: change the integration with ALTER.
DESC INTEGRATION MILLRACE_S3;

GRANT USAGE ON INTEGRATION MILLRACE_S3 TO ROLE SYSADMIN;

USE ROLE SYSADMIN;

-- The URL is the bucket's root, as MILLRACE_STAGE is. The functions name files and
-- the format in every COPY.
CREATE STAGE IF NOT EXISTS RAW.EXT.LANDING
  URL = 's3://&{bucket}/'
  STORAGE_INTEGRATION = MILLRACE_S3
  COMMENT = 'Parts that Millrace functions staged';

GRANT USAGE ON SCHEMA RAW.EXT TO ROLE LOADER;
GRANT USAGE ON STAGE RAW.EXT.LANDING TO ROLE LOADER;
