resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.deployed
  name              = "/aws/lambda/${var.prefix}-${each.key}"
  retention_in_days = 90
}

resource "aws_lambda_function" "this" {
  for_each      = local.deployed
  function_name = "${var.prefix}-${each.key}"
  # AWS takes at most 256 letters.
  description = substr(try(each.value.note, "Millrace function ${each.key}"), 0, 256)
  role        = aws_iam_role.function[each.key].arn

  filename         = "${path.module}/${var.packages}/${each.key}-${var.architecture}.zip"
  source_code_hash = filebase64sha256("${path.module}/${var.packages}/${each.key}-${var.architecture}.zip")
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture == "amd64" ? "x86_64" : "arm64"]

  timeout                        = each.value.timeout_s
  memory_size                    = each.value.memory_mb
  reserved_concurrent_executions = var.reserve_concurrency ? each.value.max_instances : -1

  ephemeral_storage {
    size = 2048 # MB of /tmp: parts are fetched and verified there, up to several hundred MB at a time
  }

  environment {
    variables = merge(
      {
        MILLRACE_WAREHOUSE       = replace(var.warehouse, "{FUNCTION}", upper(each.key))
        MILLRACE_CHAIN           = local.chain
        MILLRACE_DEADLINE        = "${each.value.timeout_s}s"
        MILLRACE_SECRET_LIFETIME = var.secret_lifetime
      },
      contains(keys(local.staged), each.key) ? { MILLRACE_STAGE = "s3://${aws_s3_bucket.stage.id}?region=${var.region}" } : {},
      var.google_credentials != "" ? { MILLRACE_GOOGLE_CREDENTIALS = var.google_credentials } : {},
      contains(keys(local.pushed), each.key) ? {
        MILLRACE_PUSH_ACCOUNT  = var.push_account
        MILLRACE_PUSH_AUDIENCE = "${var.prefix}-${each.key}"
      } : {},
      lookup(var.settings, each.key, {}),
      # By reference: the function reads the secret itself, so that a rotation is
      # seen without a deployment and no value shows in the console or the state.
      { for v in local.secrets_of[each.key] : v => "secret://${aws_secretsmanager_secret.this[v].arn}" },
    )
  }

  logging_config {
    log_format = "JSON" # our lines are JSON already; this makes AWS's own so
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }

  dynamic "vpc_config" {
    for_each = contains(keys(local.static), each.key) ? [1] : []
    content {
      subnet_ids         = [aws_subnet.private[0].id]
      security_group_ids = [aws_security_group.static[0].id]
    }
  }

  depends_on = [aws_iam_role_policy.function, aws_iam_role_policy_attachment.static]
}

# What AWS cannot deliver to the function goes where a person sees it.
resource "aws_lambda_function_event_invoke_config" "tick" {
  for_each                     = local.scheduled
  function_name                = aws_lambda_function.this[each.key].function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead[each.key].arn
    }
  }

  depends_on = [aws_iam_role_policy.dead]
}

resource "aws_iam_role_policy" "dead" {
  for_each = local.scheduled
  name     = "dead"
  role     = aws_iam_role.function[each.key].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sqs:SendMessage", Resource = aws_sqs_queue.dead[each.key].arn }]
  })
}

# Where messages come from Google's Pub/Sub, it pushes them here. The address is open
# and the function is not: it checks the token that Pub/Sub signs.
resource "aws_lambda_function_url" "push" {
  for_each           = local.pushed
  function_name      = aws_lambda_function.this[each.key].function_name
  authorization_type = "NONE"
}

resource "aws_lambda_permission" "push" {
  for_each               = local.pushed
  statement_id           = "push"
  function_name          = aws_lambda_function.this[each.key].function_name
  action                 = "lambda:InvokeFunctionUrl"
  principal              = "*"
  function_url_auth_type = "NONE"
}
