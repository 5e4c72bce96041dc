# A tick looks up which slices are due and publishes one message each; it answers
# within seconds, whatever the slices take. That of a function which follows tables
# does what is due itself.

locals {
  # Five fields as the map has them → AWS's six: one of the two days is a "?", and
  # "*/6" is written "0/6".
  cron = { for n, f in local.scheduled : n => split(" ", replace(lookup(var.schedules, n, f.schedule), "*/", "0/")) }
}

resource "aws_scheduler_schedule_group" "this" {
  name = var.prefix
}

resource "aws_scheduler_schedule" "tick" {
  for_each                     = local.scheduled
  name                         = each.key
  group_name                   = aws_scheduler_schedule_group.this.name
  schedule_expression          = "cron(${join(" ", slice(local.cron[each.key], 0, 4))} ? *)"
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.this[each.key].arn
    role_arn = aws_iam_role.scheduler.arn

    # Not jsonencode: it would write < and > as \u003c, and the scheduler would not
    # know its own placeholders.
    input = "{\"function\":\"${each.key}\",\"scheduled_time\":\"<aws.scheduler.scheduled-time>\",\"execution_id\":\"<aws.scheduler.execution-id>\"}"

    retry_policy {
      maximum_retry_attempts       = 5
      maximum_event_age_in_seconds = 3600
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead[each.key].arn
    }
  }
}
