# The topics are created here because the code owns none; shared/chain names them.
#   millrace-slices    one message per slice that is due   → the connector it names
#   millrace-arrivals  one per object that is complete      → load
#   millrace-loaded    one per slice that was committed     → what follows the function that loaded it, and var.followers
#   PREFIX-dead        what was delivered 100 times in vain → a person

locals {
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"

  # function → the filter of what it follows; a filter has at most 256 bytes
  after = { for n, f in local.map : n => contains(f.after, "*") ? "" : join(" OR ", [for by in f.after : "attributes.function = \"${by}\""]) if can(f.after) }

  # name → what a push subscription is made of
  pushes = merge(
    { for n, f in local.connectors : "slices-${n}" => {
      topic    = "millrace-slices"
      filter   = "attributes.function = \"${n}\""
      url      = google_cloudfunctions2_function.this[n].service_config[0].uri
      audience = google_cloudfunctions2_function.this[n].service_config[0].uri
      ordering = false # slices are independent; the fence decides between two of one
    } },
    { for n, f in var.remote : can(local.map[n].after) ? "loaded-${n}" : "slices-${n}" => {
      topic    = can(local.map[n].after) ? "millrace-loaded" : "millrace-slices"
      filter   = can(local.map[n].after) ? local.after[n] : "attributes.function = \"${n}\""
      url      = f.url
      audience = f.audience
      ordering = can(local.map[n].after)
    } },
    { arrivals = {
      topic    = "millrace-arrivals"
      filter   = "NOT hasPrefix(attributes.objectId, \"raw/\") AND NOT hasPrefix(attributes.objectId, \"corrupt/\")"
      url      = google_cloudfunctions2_function.this["load"].service_config[0].uri
      audience = google_cloudfunctions2_function.this["load"].service_config[0].uri
      ordering = false # manifests may arrive in any order; marks follow from what is committed
    } },
    { for n, f in local.follows : "loaded-${n}" => {
      topic    = "millrace-loaded"
      filter   = local.after[n]
      url      = google_cloudfunctions2_function.this[n].service_config[0].uri
      audience = google_cloudfunctions2_function.this[n].service_config[0].uri
      ordering = true # the key is the table
    } },
    { for n, f in var.followers : "loaded-${n}" => {
      topic    = "millrace-loaded"
      filter   = f.filter
      url      = f.url
      audience = f.url
      ordering = true # the key is the table
    } },
  )
}

resource "google_pubsub_topic" "chain" {
  for_each = local.topics
  name     = each.key

  # Keys are ordered only where all messages are stored in one region.
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.apis]
}

resource "google_pubsub_topic" "dead" {
  name       = "${var.prefix}-dead"
  depends_on = [google_project_service.apis]
}

# Without a subscription, dead letters would vanish.
resource "google_pubsub_subscription" "dead" {
  name                       = "${var.prefix}-dead"
  topic                      = google_pubsub_topic.dead.id
  message_retention_duration = "2678400s" # 31 days, the most there is

  expiration_policy {
    ttl = "" # never
  }
}

# millrace-loaded keeps what nobody follows yet, so that a follower that is added
# later, or that was broken, can be given the last week again (seek).
resource "google_pubsub_subscription" "loaded" {
  name                       = "${var.prefix}-loaded-kept"
  topic                      = google_pubsub_topic.chain["millrace-loaded"].id
  enable_message_ordering    = true
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "push" {
  for_each = local.pushes

  name                       = "${var.prefix}-${each.key}"
  topic                      = google_pubsub_topic.chain[each.value.topic].id
  filter                     = each.value.filter
  enable_message_ordering    = each.value.ordering
  ack_deadline_seconds       = 600       # the most there is; longer than any function's timeout
  message_retention_duration = "604800s" # 7 days

  push_config {
    push_endpoint = each.value.url

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = each.value.audience
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # A function at its limit of instances answers 429, and that counts as an
  # attempt: few attempts would make dead letters of a backfill's backlog.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = 100
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [google_service_account_iam_member.push_tokens]
}

resource "google_pubsub_topic_iam_member" "dead" {
  topic  = google_pubsub_topic.dead.id
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead" {
  for_each     = google_pubsub_subscription.push
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
