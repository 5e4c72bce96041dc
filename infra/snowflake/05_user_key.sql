-- One user for all functions, with a key pair. Make one without a password:
--   openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt -out key.p8
--   openssl rsa -in key.p8 -pubout | grep -v -- ----- | tr -d '\n'      -- &{public_key}
-- key.p8 is the value of the secret SNOWFLAKE_PRIVATE_KEY (warehouse_secrets of
-- infra/gcp and infra/aws); delete the file afterwards. The warehouse is then
--   snowflake:MILLRACE@ACCOUNT/RAW?warehouse=LOADING&role=LOADER&stage=RAW.EXT.LANDING&authenticator=SNOWFLAKE_JWT&private_key_env=SNOWFLAKE_PRIVATE_KEY

USE ROLE USERADMIN;

CREATE USER IF NOT EXISTS MILLRACE
  TYPE = SERVICE
  RSA_PUBLIC_KEY = '&{public_key}'
  DEFAULT_ROLE = LOADER
  DEFAULT_WAREHOUSE = LOADING
  COMMENT = 'Millrace functions';

USE ROLE SECURITYADMIN;

GRANT ROLE LOADER TO USER MILLRACE;

-- To rotate: ALTER USER MILLRACE SET RSA_PUBLIC_KEY_2 = '…', store the new key.p8, wait
-- for secret_lifetime, then ALTER USER MILLRACE UNSET RSA_PUBLIC_KEY, and the next time
-- the other way round.
