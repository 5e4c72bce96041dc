# One policy per alert, each with its runbook in infra/runbooks. A test holds the
# two lists equal.

locals {
  # Of every function that is deployed here.
  services = join(" OR ", [for n, f in google_cloudfunctions2_function.this : "\"${f.name}\""])
  log_of   = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${local.services})"

  # Metrics that are counted in logs; the engines' own lines are the source.
  log_metrics = {
    loaded      = "jsonPayload.message=\"load ended\" AND jsonPayload.state=\"loaded\""
    refused     = "jsonPayload.message=(\"load ended\" OR \"followed\") AND jsonPayload.state=\"refused\""
    failed      = "jsonPayload.message=(\"load ended\" OR \"slice ended\" OR \"followed\") AND jsonPayload.state=\"failed\""
    blocked     = "jsonPayload.message=\"followed\" AND jsonPayload.state=\"blocked\""
    partial     = "jsonPayload.message=\"followed\" AND jsonPayload.state=\"applied\" AND jsonPayload.level=\"WARN\""
    vendor_auth = "(jsonPayload.error_kind=\"auth\" OR jsonPayload.kind=\"auth\")"
    poison      = "jsonPayload.message=\"event failed\" AND jsonPayload.kind=\"invalid\""
  }

  # alert → what is watched. Conditions look at sums per function over window.
  thresholds = {
    function-errors = {
      filter  = "metric.type=\"run.googleapis.com/request_count\" AND resource.type=\"cloud_run_revision\" AND metric.labels.response_code_class=\"5xx\" AND resource.labels.service_name=starts_with(\"${var.prefix}-\")"
      group   = "resource.label.service_name"
      aligner = "ALIGN_SUM"
      reducer = "REDUCE_SUM"
      window  = "3600s"
      above   = 10
    }
    slice-refused = {
      filter  = "metric.type=\"logging.googleapis.com/user/${var.prefix}_refused\" AND resource.type=\"cloud_run_revision\""
      group   = "resource.label.service_name"
      aligner = "ALIGN_SUM"
      reducer = "REDUCE_SUM"
      window  = "3600s"
      above   = 0
    }
    slice-failed = {
      filter  = "metric.type=\"logging.googleapis.com/user/${var.prefix}_failed\" AND resource.type=\"cloud_run_revision\""
      group   = "resource.label.service_name"
      aligner = "ALIGN_SUM"
      reducer = "REDUCE_SUM"
      window  = "3600s"
      above   = 0
    }
    sync-blocked = {
      filter  = "metric.type=\"logging.googleapis.com/user/${var.prefix}_blocked\" AND resource.type=\"cloud_run_revision\""
      group   = "resource.label.service_name"
      aligner = "ALIGN_SUM"
      reducer = "REDUCE_SUM"
      window  = "3600s"
      above   = 0
    }
    sync-partial = {
      filter  = "metric.type=\"logging.googleapis.com/user/${var.prefix}_partial\" AND resource.type=\"cloud_run_revision\""
      group   = "resource.label.service_name"
      aligner = "ALIGN_SUM"
      reducer = "REDUCE_SUM"
      window  = "3600s"
      above   = 0
    }
    vendor-auth = {
      filter  = "metric.type=\"logging.googleapis.com/user/${var.prefix}_vendor_auth\" AND resource.type=\"cloud_run_revision\""
      group   = "resource.label.service_name"
      aligner = "ALIGN_SUM"
      reducer = "REDUCE_SUM"
      window  = "3600s"
      above   = 0
    }
    poison-event = {
      filter  = "metric.type=\"logging.googleapis.com/user/${var.prefix}_poison\" AND resource.type=\"cloud_run_revision\""
      group   = "resource.label.service_name"
      aligner = "ALIGN_SUM"
      reducer = "REDUCE_SUM"
      window  = "3600s"
      above   = 0
    }
    dead-letter = {
      filter  = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${var.prefix}-dead\""
      group   = "resource.label.subscription_id"
      aligner = "ALIGN_MAX"
      reducer = "REDUCE_MAX"
      window  = "300s"
      above   = 0
    }
    backlog = {
      filter  = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=monitoring.regex.full_match(\"${var.prefix}-(slices-.*|arrivals|loaded-.*)\") AND resource.labels.subscription_id!=\"${google_pubsub_subscription.loaded.name}\""
      group   = "resource.label.subscription_id"
      aligner = "ALIGN_MAX"
      reducer = "REDUCE_MAX"
      window  = "900s"
      above   = 21600 # seconds: a quarter of a day
    }
    memory = {
      filter  = "metric.type=\"run.googleapis.com/container/memory/utilizations\" AND resource.type=\"cloud_run_revision\" AND resource.labels.service_name=starts_with(\"${var.prefix}-\")"
      group   = "resource.label.service_name"
      aligner = "ALIGN_PERCENTILE_99"
      reducer = "REDUCE_MAX"
      window  = "300s"
      above   = 0.9
    }
    schedule-failed = {
      filter  = "metric.type=\"logging.googleapis.com/user/${var.prefix}_schedule_failed\" AND resource.type=\"cloud_scheduler_job\""
      group   = "resource.label.job_id"
      aligner = "ALIGN_SUM"
      reducer = "REDUCE_SUM"
      window  = "3600s"
      above   = 4 # attempts: the job retries five times
    }
  }
}

resource "google_logging_metric" "count" {
  for_each = local.log_metrics
  name     = "${var.prefix}_${each.key}"
  filter   = "${local.log_of} AND ${each.value}"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_logging_metric" "schedule_failed" {
  name   = "${var.prefix}_schedule_failed"
  filter = "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id:\"${var.prefix}-\" AND severity>=ERROR"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each     = var.alert_emails
  display_name = "Millrace: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  depends_on   = [google_project_service.apis]
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each              = local.thresholds
  display_name          = "${var.prefix}: ${each.key}"
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = each.key

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = "0s"

      aggregations {
        alignment_period     = each.value.window
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
        group_by_fields      = [each.value.group]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "What to do: ${var.runbooks}/${each.key}.md"
  }

  depends_on = [google_logging_metric.count, google_logging_metric.schedule_failed]
}

# The alert that tells of silence: nothing was committed by anybody.
resource "google_monitoring_alert_policy" "nothing_loaded" {
  count                 = var.silence_hours > 0 ? 1 : 0
  display_name          = "${var.prefix}: nothing-loaded"
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = "nothing-loaded"

    condition_absent {
      filter   = "metric.type=\"logging.googleapis.com/user/${var.prefix}_loaded\" AND resource.type=\"cloud_run_revision\""
      duration = "${var.silence_hours * 3600}s"

      aggregations {
        alignment_period     = "3600s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "What to do: ${var.runbooks}/nothing-loaded.md"
  }

  depends_on = [google_logging_metric.count]
}
