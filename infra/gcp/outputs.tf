output "functions" {
  description = "Function → address. Only Pub/Sub and Cloud Scheduler of the project reach it."
  value       = { for n, f in google_cloudfunctions2_function.this : n => f.service_config[0].uri }
}

output "accounts" {
  description = "Function → service account. Snowflake's users of workload identity are made for these (infra/snowflake)."
  value       = { for n, a in google_service_account.function : n => { email = a.email, unique_id = a.unique_id } }
}

output "push_account" {
  description = "What Pub/Sub calls followers as."
  value       = google_service_account.push.email
}

output "stage" {
  description = "MILLRACE_STAGE of this deployment, and the allowed location of Snowflake's storage integration (there with gcs:// in front)."
  value       = "gs://${google_storage_bucket.stage.name}"
}

output "secrets" {
  description = "Variable → secret. Each needs a version before its function can start: gcloud secrets versions add NAME --data-file=-"
  value       = { for v, s in google_secret_manager_secret.this : v => s.secret_id }
}

output "egress_address" {
  description = "The address for the vendor's allow-list; null where no deployed function needs one."
  value       = one(google_compute_address.static[*].address)
}

output "dead_letters" {
  description = "Subscription that holds dead letters."
  value       = google_pubsub_subscription.dead.name
}

output "aws_credential_file" {
  description = "AWS account → contents of the file that GOOGLE_APPLICATION_CREDENTIALS names on Lambda. It holds no secret."
  value = { for account, p in google_iam_workload_identity_pool_provider.aws : account => jsonencode({
    type                              = "external_account"
    universe_domain                   = "googleapis.com"
    audience                          = "//iam.googleapis.com/${p.name}"
    subject_token_type                = "urn:ietf:params:aws:token-type:aws4_request"
    token_url                         = "https://sts.googleapis.com/v1/token"
    service_account_impersonation_url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${google_service_account.aws[0].email}:generateAccessToken"
    credential_source = {
      environment_id                 = "aws1"
      regional_cred_verification_url = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
    }
  }) }
}
