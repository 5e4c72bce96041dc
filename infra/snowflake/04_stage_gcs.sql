-- The stage over a bucket of Google's. Run this file or 04_stage_s3.sql; both, where
-- functions run on both clouds (then give the second stage another name).
-- &{bucket} is the output stage of infra/gcp without gs://.

USE ROLE ACCOUNTADMIN;

CREATE STORAGE INTEGRATION IF NOT EXISTS MILLRACE_GCS
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'GCS'
  ENABLED = TRUE
  STORAGE_ALLOWED_LOCATIONS = ('gcs://&{bucket}/'); -- gcs, not gs

-- Its property STORAGE_GCP_SERVICE_ACCOUNT is who Snowflake reads as. Put it into
-- stage_readers of infra/gcp as serviceAccount:… and apply.
DESC INTEGRATION MILLRACE_GCS;

GRANT USAGE ON INTEGRATION MILLRACE_GCS TO ROLE SYSADMIN;

USE ROLE SYSADMIN;

-- The URL is the bucket's root, as MILLRACE_STAGE is. The functions name files and
-- the format in every COPY.
CREATE STAGE IF NOT EXISTS RAW.EXT.LANDING
  URL = 'gcs://&{bucket}/'
  STORAGE_INTEGRATION = MILLRACE_GCS
  COMMENT = 'Parts that Millrace functions staged';

GRANT USAGE ON SCHEMA RAW.EXT TO ROLE LOADER;
GRANT USAGE ON STAGE RAW.EXT.LANDING TO ROLE LOADER;
