output "functions" {
  description = "Function → ARN."
  value       = { for n, f in aws_lambda_function.this : n => f.arn }
}

output "roles" {
  description = "Function → role's ARN. Snowflake's users of workload identity are made for these (infra/snowflake); their names go into aws_publishers of infra/gcp."
  value       = { for n, r in aws_iam_role.function : n => r.arn }
}

output "stage" {
  description = "MILLRACE_STAGE of this deployment; without the region, the allowed location of Snowflake's storage integration."
  value       = "s3://${aws_s3_bucket.stage.id}"
}

output "snowflake_role" {
  description = "STORAGE_AWS_ROLE_ARN of Snowflake's storage integration."
  value       = aws_iam_role.snowflake.arn
}

output "secrets" {
  description = "Variable → secret. Each needs a value before its function can start: aws secretsmanager put-secret-value --secret-id NAME --secret-string file://…"
  value       = { for v, s in aws_secretsmanager_secret.this : v => s.name }
}

output "egress_address" {
  description = "The address for the vendor's allow-list; null where no deployed function needs one."
  value       = one(aws_eip.static[*].public_ip)
}

output "dead_letters" {
  description = "Function → queue that holds its dead letters."
  value       = { for n, q in aws_sqs_queue.dead : n => q.url }
}

output "topics" {
  description = "Topic → ARN; subscribe your own queues to millrace-loaded."
  value       = { for n, t in aws_sns_topic.chain : n => t.arn }
}

output "function_urls" {
  description = "With chain = pubsub:…: function → what remote of infra/gcp wants."
  value       = { for n, u in aws_lambda_function_url.push : n => { url = u.function_url, audience = "${var.prefix}-${n}" } }
}
