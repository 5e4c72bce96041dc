# Everything is driven by infra/functions.json: an entry there, and its name in
# var.functions, is a function with its account, schedule, subscription, secrets
# and alerts. An entry with "after" follows what those functions load, "*" what any
# does; it has no stage, and announces tables itself where it says so.

locals {
  map        = jsondecode(file("${path.module}/../functions.json"))
  connectors = { for n, f in local.map : n => f if contains(var.functions, n) && !can(f.after) }
  follows    = { for n, f in local.map : n => f if contains(var.functions, n) && can(f.after) }
  staged     = merge(local.connectors, { load = local.map["load"] })
  deployed   = merge(local.staged, local.follows)
  scheduled  = { for n, f in local.deployed : n => f if can(f.schedule) }
  announces  = { for n, f in local.deployed : n => f if n == "load" || try(f.announces, false) }
  static     = { for n, f in local.deployed : n => f if try(f.egress, "") == "static" }

  # What each reads of its own; a reference to a secret without a value would fail.
  secrets = { for n, f in local.deployed : n => [for v in f.secrets : v if !contains(var.unused_secrets, v)] }

  # One secret per variable; a variable of two functions is one secret.
  secret_names = toset(concat(
    flatten([for n, f in local.deployed : local.secrets[n]]),
    tolist(var.warehouse_secrets),
  ))
  # Who reads which: "function/VARIABLE" → both.
  secret_uses = merge([
    for n, f in local.deployed : {
      for v in concat(local.secrets[n], tolist(var.warehouse_secrets)) :
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
