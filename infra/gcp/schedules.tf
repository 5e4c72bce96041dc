# A tick looks up which slices are due and publishes one message each; it answers
# within seconds, whatever the slices take. That of a function which follows tables
# does what is due itself.
resource "google_cloud_scheduler_job" "tick" {
  for_each         = local.scheduled
  name             = "${var.prefix}-${each.key}"
  region           = var.region
  schedule         = lookup(var.schedules, each.key, each.value.schedule)
  time_zone        = "Etc/UTC"
  attempt_deadline = "${min(each.value.timeout_s, 1800)}s"

  # A tick that is repeated finds its slices asked for and asks again: harmless.
  retry_config {
    retry_count          = 5
    min_backoff_duration = "30s"
    max_backoff_duration = "600s"
    max_doublings        = 4
  }

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.this[each.key].service_config[0].uri
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ function = each.key }))

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = google_cloudfunctions2_function.this[each.key].service_config[0].uri
    }
  }
}
