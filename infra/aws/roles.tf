# One role per function, with what that function does and nothing else.

locals {
  lambda_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })

  # A connector reads what an earlier attempt staged, writes parts and manifests, and
  # deletes what it replaces, in its own folders. load reads, and writes nothing but
  # the events that it cannot handle.
  own    = { for n, f in local.connectors : n => ["${n}/*", "raw/${n}/*", "corrupt/${n}/*", "corrupt/events/${n}/*"] }
  reads  = merge(local.own, { load = ["*"] }) # of a function that follows tables: nothing
  writes = merge(local.own, { load = ["corrupt/events/load/*"] })
}

resource "aws_iam_role" "function" {
  for_each           = local.deployed
  name               = "${var.prefix}-${each.key}"
  assume_role_policy = local.lambda_trust
}

resource "aws_iam_role_policy" "function" {
  for_each = local.deployed
  name     = "function"
  role     = aws_iam_role.function[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.function[each.key].arn}:*"
      },
      {
        Sid      = "Queue"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"]
        Resource = aws_sqs_queue.work[each.key].arn
      },
      ], !contains(keys(local.staged), each.key) ? [] : [
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = [for folder in local.reads[each.key] : "${aws_s3_bucket.stage.arn}/${folder}"]
      },
      {
        Sid      = "Write"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = [for folder in local.writes[each.key] : "${aws_s3_bucket.stage.arn}/${folder}"]
      },
      {
        Sid      = "List" # without it, an object that is missing is "forbidden" and not "not found"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = aws_s3_bucket.stage.arn
      },
      ], !contains(keys(local.says), each.key) ? [] : [
      {
        Sid      = "Chain" # a connector publishes slices, load what it loaded, and so does what fills a table of its own
        Effect   = "Allow"
        Action   = "sns:Publish"
        Resource = aws_sns_topic.chain[local.says[each.key]].arn
      },
      ], length(local.secrets_of[each.key]) == 0 ? [] : [{
        Sid      = "Secrets"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = [for v in local.secrets_of[each.key] : aws_secretsmanager_secret.this[v].arn]
    }])
  })
}

# Network interfaces in the static network; AWS offers no narrower resource.
resource "aws_iam_role_policy_attachment" "static" {
  for_each   = local.static
  role       = aws_iam_role.function[each.key].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}

resource "aws_iam_role" "scheduler" {
  name = "${var.prefix}-scheduler"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  name = "invoke"
  role = aws_iam_role.scheduler.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = [for n in keys(local.scheduled) : aws_lambda_function.this[n].arn]
      },
      {
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = [for n in keys(local.scheduled) : aws_sqs_queue.dead[n].arn]
      },
    ]
  })
}

# Snowflake's storage integration reads the stage as this role. It needs to be
# there before the integration, which tells who may assume it: until then, nobody.
resource "aws_iam_role" "snowflake" {
  name = "${var.prefix}-snowflake"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = var.snowflake_reader == null ? "Deny" : "Allow"
      Principal = { AWS = var.snowflake_reader == null ? "*" : var.snowflake_reader.user_arn }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "sts:ExternalId" = var.snowflake_reader == null ? "none" : var.snowflake_reader.external_id } }
    }]
  })
}

resource "aws_iam_role_policy" "snowflake" {
  name = "read"
  role = aws_iam_role.snowflake.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["s3:GetObject", "s3:GetObjectVersion"], Resource = "${aws_s3_bucket.stage.arn}/*" },
      { Effect = "Allow", Action = ["s3:ListBucket", "s3:GetBucketLocation"], Resource = aws_s3_bucket.stage.arn },
    ]
  })
}
