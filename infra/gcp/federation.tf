# Functions on Lambda that chain through Pub/Sub log in with their role's own
# identity: no key of Google's exists. The credential file of the output
# aws_credential_file holds no secret.

locals {
  federation = length(var.aws_publishers) > 0 ? 1 : 0
}

resource "google_iam_workload_identity_pool" "aws" {
  count                     = local.federation
  workload_identity_pool_id = "${var.prefix}-aws"
  display_name              = "Millrace on AWS"
  depends_on                = [google_project_service.apis]
}

resource "google_iam_workload_identity_pool_provider" "aws" {
  for_each                           = toset(values(var.aws_publishers))
  workload_identity_pool_id          = google_iam_workload_identity_pool.aws[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "aws-${each.key}"

  attribute_mapping = {
    "google.subject"     = "assertion.arn"
    "attribute.aws_role" = "assertion.arn.extract('assumed-role/{role}/')"
  }
  attribute_condition = "attribute.aws_role in [${join(", ", [for r, a in var.aws_publishers : "'${r}'" if a == each.key])}]"

  aws {
    account_id = each.key
  }
}

resource "google_service_account" "aws" {
  count        = local.federation
  account_id   = "${var.prefix}-aws"
  display_name = "Millrace functions on AWS publish to topics"
}

resource "google_service_account_iam_member" "aws" {
  for_each           = var.aws_publishers
  service_account_id = google_service_account.aws[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.aws[0].name}/attribute.aws_role/${each.key}"
}

resource "google_pubsub_topic_iam_member" "aws" {
  for_each = local.federation == 1 ? toset(["millrace-slices", "millrace-loaded"]) : toset([])
  topic    = google_pubsub_topic.chain[each.key].id
  role     = "roles/pubsub.publisher"
  member   = google_service_account.aws[0].member
}
