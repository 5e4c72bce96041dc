# Everything is driven by infra/functions.json: an entry there, and its name in
# var.functions, is a function with its role, schedule, queue, secrets and alarms. An
# entry with "after" follows what those functions load, "*" what any does; it has no
# stage, and announces tables itself where it says so.

locals {
  map        = jsondecode(file("${path.module}/../functions.json"))
  connectors = { for n, f in local.map : n => f if contains(var.functions, n) && !can(f.after) }
  follows    = { for n, f in local.map : n => f if contains(var.functions, n) && can(f.after) }
  staged     = merge(local.connectors, { load = local.map["load"] })
  deployed   = merge(local.staged, local.follows)
  scheduled  = { for n, f in local.deployed : n => f if can(f.schedule) }
  static     = { for n, f in local.deployed : n => f if try(f.egress, "") == "static" }

  # What each reads of its own; a reference to a secret without a value would fail.
  secrets = { for n, f in local.deployed : n => [for v in f.secrets : v if !contains(var.unused_secrets, v)] }

  # One secret per variable; a variable of two functions is one secret.
  secret_names = toset(concat(
    flatten([for n, f in local.deployed : local.secrets[n]]),
    tolist(var.warehouse_secrets),
  ))
  secrets_of = { for n, f in local.deployed : n => concat(local.secrets[n], tolist(var.warehouse_secrets)) }

  account = data.aws_caller_identity.this.account_id
  stage   = var.stage_bucket != "" ? var.stage_bucket : "${var.prefix}-stage-${local.account}-${var.region}"
  chain   = var.chain != "" ? var.chain : "sns:arn:aws:sns:${var.region}:${local.account}"

  # What Pub/Sub pushes to: slices to connectors, and what was loaded.
  pushed = var.push_account != "" ? merge(local.connectors, local.follows) : {}

  # Topic that each publishes to; one that follows and announces nothing has none.
  says = merge(
    { for n, f in local.connectors : n => "millrace-slices" },
    { for n, f in local.deployed : n => "millrace-loaded" if n == "load" || try(f.announces, false) },
  )

  # shared/chain names the topics.
  topic_arn = { for t in ["millrace-slices", "millrace-loaded"] : t => "arn:aws:sns:${var.region}:${local.account}:${t}" }
}

data "aws_caller_identity" "this" {}
