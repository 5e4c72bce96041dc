# The topics are created here because the code owns none; shared/chain names them.
#   millrace-slices   one message per slice that is due   → queue of the connector it names
#   (bucket)          one per manifest that is complete   → queue of load
#   millrace-loaded   one per slice that was committed    → queues of what follows the function that loaded it, and your own
# Each function has one queue, and each queue one for dead letters.

resource "aws_sns_topic" "chain" {
  for_each = local.topic_arn
  name     = each.key
}

resource "aws_sqs_queue" "dead" {
  for_each                  = local.deployed
  name                      = "${var.prefix}-${each.key}-dead"
  message_retention_seconds = 1209600 # 14 days, the most there is
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue" "work" {
  for_each                   = local.deployed
  name                       = "${var.prefix}-${each.key}"
  message_retention_seconds  = 1209600
  visibility_timeout_seconds = 6 * each.value.timeout_s # as AWS asks for queues that start functions
  sqs_managed_sse_enabled    = true

  # A function at its limit of instances sends messages back, and that counts as
  # an attempt: few attempts would make dead letters of a backfill's backlog.
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead[each.key].arn
    maxReceiveCount     = 100
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  for_each  = local.deployed
  queue_url = aws_sqs_queue.dead[each.key].id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.work[each.key].arn]
  })
}

# The slices topic writes to connectors' queues, the stage's bucket to load's, the
# topic of what was loaded to those of what follows.
resource "aws_sqs_queue_policy" "work" {
  for_each  = local.deployed
  queue_url = aws_sqs_queue.work[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [each.key == "load" ? {
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.work[each.key].arn
      Condition = {
        ArnEquals    = { "aws:SourceArn" = aws_s3_bucket.stage.arn }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
      } : {
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.work[each.key].arn
      Condition = {
        ArnEquals    = { "aws:SourceArn" = aws_sns_topic.chain[contains(keys(local.follows), each.key) ? "millrace-loaded" : "millrace-slices"].arn }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
    }]
  })
}

resource "aws_sns_topic_subscription" "slices" {
  for_each      = local.connectors
  topic_arn     = aws_sns_topic.chain["millrace-slices"].arn
  protocol      = "sqs"
  endpoint      = aws_sqs_queue.work[each.key].arn
  filter_policy = jsonencode({ function = [each.key] })

  depends_on = [aws_sqs_queue_policy.work]
}

# Attributes are compared, so there is no filter where the function follows them all.
resource "aws_sns_topic_subscription" "loaded" {
  for_each      = local.follows
  topic_arn     = aws_sns_topic.chain["millrace-loaded"].arn
  protocol      = "sqs"
  endpoint      = aws_sqs_queue.work[each.key].arn
  filter_policy = contains(each.value.after, "*") ? null : jsonencode({ function = each.value.after })

  depends_on = [aws_sqs_queue_policy.work]
}

resource "aws_lambda_event_source_mapping" "work" {
  for_each                = local.deployed
  event_source_arn        = aws_sqs_queue.work[each.key].arn
  function_name           = aws_lambda_function.this[each.key].arn
  batch_size              = 1 # a slice has the deadline for itself
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = max(2, each.value.max_instances) # 2 is the least that AWS takes
  }

  depends_on = [aws_iam_role_policy.function]
}
