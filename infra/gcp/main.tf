# Everything is driven by infra/functions.json: an entry there, and its name in
# var.functions, is a function with its account, schedule, subscription, secrets
# and alerts.

locals {
  map        = jsondecode(file("${path.module}/../functions.json"))
  connectors = { for n, f in local.map : n => f if contains(var.functions, n) }
  deployed   = merge(local.connectors, { load = local.map["load"] })
  static     = { for n, f in local.deployed : n => f if try(f.egress, "") == "static" }

  # One secret per variable; a variable of two functions is one secret.
  secret_names = toset(concat(
    flatten([for n, f in local.deployed : f.secrets]),
    tolist(var.warehouse_secrets),
  ))
  # Who reads which: "function/VARIABLE" → both.
  secret_uses = merge([
    for n, f in local.deployed : {
      for v in concat(f.secrets, tolist(var.warehouse_secrets)) :
      "${n}/${v}" => { function = n, variable = v }
    }
  ]...)

  stage = var.stage_bucket != "" ? var.stage_bucket : "${var.project}-${var.prefix}-stage"

  # shared/chain names the topics.
  topics = toset(["millrace-slices", "millrace-arrivals", "millrace-loaded"])
}

data "google_project" "this" {}

resource "google_project_service" "apis" {
  for_each = toset([
    "artifactregistry.googleapis.com", "cloudbuild.googleapis.com", "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com", "cloudscheduler.googleapis.com", "compute.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com",
    "logging.googleapis.com", "monitoring.googleapis.com", "pubsub.googleapis.com", "run.googleapis.com",
    "secretmanager.googleapis.com", "storage.googleapis.com", "sts.googleapis.com",
  ])
  service            = each.key
  disable_on_destroy = false # others in the project may use them
}
