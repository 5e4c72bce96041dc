# One alarm per kind and function, each with its runbook in infra/runbooks. A test
# holds the two lists equal.

locals {
  # Counted in the engines' own log lines.
  log_metrics = {
    loaded      = "{ $.message = \"load ended\" && $.state = \"loaded\" }"
    refused     = "{ ($.message = \"load ended\" || $.message = \"followed\") && $.state = \"refused\" }"
    failed      = "{ ($.message = \"load ended\" || $.message = \"slice ended\" || $.message = \"followed\") && $.state = \"failed\" }"
    blocked     = "{ $.message = \"followed\" && $.state = \"blocked\" }"
    partial     = "{ $.message = \"followed\" && $.state = \"applied\" && $.level = \"WARN\" }"
    vendor_auth = "{ $.error_kind = \"auth\" || $.kind = \"auth\" }"
    poison      = "{ $.message = \"event failed\" && $.kind = \"invalid\" }"
  }
  filters = merge([for n, f in local.deployed : { for m, p in local.log_metrics : "${n}/${m}" => { function = n, metric = m, pattern = p } }]...)

  # runbook → what is watched, for each of these functions
  thresholds = {
    function-errors = { namespace = "AWS/Lambda", metric = "Errors", dimension = "FunctionName", suffix = "", statistic = "Sum", period = 3600, above = 3, of = keys(local.deployed) }
    dead-letter     = { namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimension = "QueueName", suffix = "-dead", statistic = "Maximum", period = 300, above = 0, of = keys(local.deployed) }
    backlog         = { namespace = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimension = "QueueName", suffix = "", statistic = "Maximum", period = 900, above = 21600, of = keys(local.deployed) }
    slice-refused   = { namespace = var.prefix, metric = "refused", dimension = "", suffix = "", statistic = "Sum", period = 3600, above = 0, of = concat(["load"], keys(local.follows)) }
    slice-failed    = { namespace = var.prefix, metric = "failed", dimension = "", suffix = "", statistic = "Sum", period = 3600, above = 0, of = keys(local.deployed) }
    sync-blocked    = { namespace = var.prefix, metric = "blocked", dimension = "", suffix = "", statistic = "Sum", period = 3600, above = 0, of = keys(local.follows) }
    sync-partial    = { namespace = var.prefix, metric = "partial", dimension = "", suffix = "", statistic = "Sum", period = 3600, above = 0, of = keys(local.follows) }
    vendor-auth     = { namespace = var.prefix, metric = "vendor_auth", dimension = "", suffix = "", statistic = "Sum", period = 3600, above = 0, of = keys(local.deployed) }
    poison-event    = { namespace = var.prefix, metric = "poison", dimension = "", suffix = "", statistic = "Sum", period = 3600, above = 0, of = keys(local.deployed) }
  }
  alarms = merge([for a, t in local.thresholds : { for n in t.of : "${a}/${n}" => merge(t, { alert = a, function = n }) }]...)
}

resource "aws_sns_topic" "alerts" {
  name = "${var.prefix}-alerts"
}

resource "aws_sns_topic_subscription" "alerts" {
  for_each  = var.alert_emails
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.key
}

# A filter's metric may not have both a dimension and a default, so each function
# has metrics of its own name.
resource "aws_cloudwatch_log_metric_filter" "count" {
  for_each       = local.filters
  name           = each.value.metric
  log_group_name = aws_cloudwatch_log_group.function[each.value.function].name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = var.prefix
    name      = "${each.value.metric}-${each.value.function}"
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "threshold" {
  for_each            = local.alarms
  alarm_name          = "${var.prefix}: ${each.value.alert}: ${each.value.function}"
  alarm_description   = "What to do: ${var.runbooks}/${each.value.alert}.md"
  namespace           = each.value.namespace
  metric_name         = each.value.dimension == "" ? "${each.value.metric}-${each.value.function}" : each.value.metric
  dimensions          = each.value.dimension == "" ? {} : { (each.value.dimension) = "${var.prefix}-${each.value.function}${each.value.suffix}" }
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}

# AWS reports what an invocation used at its end.
resource "aws_cloudwatch_log_metric_filter" "memory" {
  for_each       = local.deployed
  name           = "memory"
  log_group_name = aws_cloudwatch_log_group.function[each.key].name
  pattern        = "{ $.type = \"platform.report\" }"

  metric_transformation {
    namespace = var.prefix
    name      = "memory-${each.key}"
    value     = "$.record.metrics.maxMemoryUsedMB"
  }
}

resource "aws_cloudwatch_metric_alarm" "memory" {
  for_each            = local.deployed
  alarm_name          = "${var.prefix}: memory: ${each.key}"
  alarm_description   = "What to do: ${var.runbooks}/memory.md"
  namespace           = var.prefix
  metric_name         = "memory-${each.key}"
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0.9 * each.value.memory_mb
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_metric_alarm" "schedule_failed" {
  alarm_name          = "${var.prefix}: schedule-failed"
  alarm_description   = "What to do: ${var.runbooks}/schedule-failed.md"
  namespace           = "AWS/Scheduler"
  metric_name         = "InvocationDroppedCount"
  dimensions          = { ScheduleGroup = aws_scheduler_schedule_group.this.name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}

# The alarm that tells of silence: nothing was committed by anybody. No data is
# what it is about, so missing data counts.
resource "aws_cloudwatch_metric_alarm" "nothing_loaded" {
  alarm_name          = "${var.prefix}: nothing-loaded"
  alarm_description   = "What to do: ${var.runbooks}/nothing-loaded.md"
  namespace           = var.prefix
  metric_name         = "loaded-load"
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = var.silence_hours
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}
