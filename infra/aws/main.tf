# Everything is driven by infra/functions.json: an entry there, and its name in
# var.functions, is a function with its role, schedule, queue, secrets and alarms.

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
  secrets_of = { for n, f in local.deployed : n => concat(f.secrets, tolist(var.warehouse_secrets)) }

  account = data.aws_caller_identity.this.account_id
  stage   = var.stage_bucket != "" ? var.stage_bucket : "${var.prefix}-stage-${local.account}-${var.region}"
  chain   = var.chain != "" ? var.chain : "sns:arn:aws:sns:${var.region}:${local.account}"

  # Connectors that Pub/Sub pushes slices to.
  pushed = var.push_account != "" ? local.connectors : {}

  # shared/chain names the topics.
  topic_arn = { for t in ["millrace-slices", "millrace-loaded"] : t => "arn:aws:sns:${var.region}:${local.account}:${t}" }
}

data "aws_caller_identity" "this" {}
